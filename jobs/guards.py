"""What rooms above ask before a job is taken, by the operation's name: in the transaction that writes the job's row.

What may have changed until the job begins is asked then once more.
"""

from collections import defaultdict
from collections.abc import Callable

from access.models import User
from jobs.operations import Operation

Guard = Callable[[Operation, User | None], None]
_guards: dict[str, dict[Guard, bool]] = defaultdict(dict)


def add(name: str, guard: Guard, *, also_at_begin: bool = False) -> None:
    """guard(operation, user) raises Refused. Database only."""
    _guards[name][guard] = also_at_begin


def ask(operation: Operation, user: User | None) -> None:
    for guard in _guards.get(operation.name, ()):
        guard(operation, user)


def ask_at_begin(operation: Operation, user: User | None) -> None:
    for guard, also_at_begin in _guards.get(operation.name, {}).items():
        if also_at_begin:
            guard(operation, user)
