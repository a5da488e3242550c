"""What jobs tell to people who see nothing of the cluster but their VMs: no host, no path, no command for a host.

Rows are changed in memory only, before they are shown. The room of hosts registers what theirs are called.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _

from access.rules import Person, can
from jobs.errors import Refused, Text
from jobs.models import Job, JobLine

PLACES = ("host", "hosts", "source", "destination", "source_name", "pool", "silent_hosts", "traffic", "tls_name")
PATH = re.compile(r"(?<![\w/])/(?:[\w.+@:=-]+/)+")
KEPT = "_hidden"
_names: list[Callable[[], Iterable[str]]] = []


def register(names: Callable[[], Iterable[str]]) -> None:
    """names() gives all that must not be read by others: names and addresses of hosts. One query."""
    if names not in _names:
        _names.append(names)


def sees_all(user: Person) -> bool:
    return can(user, "hosts.view")


def shown(user: Person, text: Text) -> str:
    """The text without names of hosts and without the folders of files, for who sees no hosts."""
    return str(text) if not text or sees_all(user) else _without(str(text), _pattern(user))


def _pattern(user: Person) -> re.Pattern[str] | None:
    """One query, kept with the person's object as their rights are."""
    if KEPT not in user.__dict__:
        names = sorted({name for ask in _names for name in ask() if name}, key=len, reverse=True)
        words = "|".join(map(re.escape, names))
        user.__dict__[KEPT] = re.compile(rf"(?<![\w.-])(?:{words})(?![\w-]|\.\w)") if names else None
    found: re.Pattern[str] | None = user.__dict__[KEPT]
    return found


def _without(text: str, pattern: re.Pattern[str] | None) -> str:
    text = PATH.sub("", text)
    return pattern.sub(_("a host"), text) if pattern else text


def _tidied(value: Any, pattern: re.Pattern[str] | None) -> Any:
    """The same of JSON: places are left out at every depth, texts are without them."""
    if isinstance(value, dict):
        return {key: _tidied(one, pattern) for key, one in value.items() if key not in PLACES}
    if isinstance(value, list):
        return [_tidied(one, pattern) for one in value]
    return _without(value, pattern) if isinstance(value, str) else value


@contextmanager
def refusals(user: Person | None) -> Iterator[None]:
    """A refusal as this person may read it."""
    try:
        yield
    except Refused as refused:
        if user is None or sees_all(user):
            raise
        raise Refused(shown(user, refused.message), field=refused.field) from refused


def tidy(user: Person, jobs: Iterable[Job]) -> None:
    """Before they are shown to this person."""
    rows = [job for job in jobs if KEPT not in job.__dict__]
    if not rows or sees_all(user):
        return
    pattern = _pattern(user)
    for job in rows:
        there = job.get_deferred_fields()
        for name in {"title", "error", "step"} - there:
            setattr(job, name, _without(getattr(job, name), pattern))
        for name in {"params", "result"} - there:
            setattr(job, name, _tidied(getattr(job, name), pattern))
        for name, nothing in (("commands", []), ("technical", ""), ("detail", {})):
            if name not in there:
                setattr(job, name, nothing)
        job.__dict__[KEPT] = True


def tidy_lines(user: Person, lines: Iterable[JobLine]) -> None:
    rows = list(lines)
    if not rows or sees_all(user):
        return
    pattern = _pattern(user)
    for line in rows:
        line.text = _without(line.text, pattern)
