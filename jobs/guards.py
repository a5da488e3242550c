"""What rooms above ask before a job is taken: by the operation's name, in the transaction that writes the job's row."""

from collections import defaultdict
from collections.abc import Callable

from access.models import User
from jobs.operations import Operation

Guard = Callable[[Operation, User | None], None]
_guards: dict[str, list[Guard]] = defaultdict(list)


def add(name: str, guard: Guard) -> None:
    """guard(operation, user) raises Refused. Database only."""
    if guard not in _guards[name]:
        _guards[name].append(guard)


def ask(operation: Operation, user: User | None) -> None:
    for guard in _guards.get(operation.name, ()):
        guard(operation, user)
