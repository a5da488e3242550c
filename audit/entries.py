"""`record`: the one way into the audit. Who, from where and by which way are known from where it is called."""

import logging
import re
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from access.models import User
from audit import chain, origin
from audit.actions import ACTIONS
from audit.models import Entry
from audit.states import Result, Way
from audit.things import Thing, thing_of
from ui import live
from ui.text import Text

log = logging.getLogger(__name__)
SECRET = re.compile(r"passw|secret|token|private|credential", re.IGNORECASE)
HIDDEN = "***"
MOST_TEXT, MOST_ITEMS, DEPTH = 500, 50, 4
REASON = 2000


def record(
    action: str,
    text: Text = "",
    *,
    by: User | None = None,
    on: Model | Thing | None = None,
    result: Result = Result.OK,
    reason: Text = "",
    job_number: int | None = None,
    address: str | None = None,
    way: Way | None = None,
    details: dict[str, Any] | None = None,
) -> Entry:
    """Add an entry. It is written in the caller's transaction, so that it stays or goes with the change it tells of.

    by: if not given, whoever makes the request or runs the command; else Drover itself. A refusal told during a request
    stays even if the transaction it was met in is undone.
    """
    here = origin.current()
    person = by or (here.person if here else None)
    thing = on if isinstance(on, Thing) else thing_of(on) if on is not None else Thing()
    entry = Entry(
        who=clean(person.username if person else here.who if here else "", 150),
        person_key=person.pk if person else None,
        address=clean((here.address if here else "") if address is None else address, 45),
        way=way or (here.way if here else Way.DROVER),
        action=action,
        text=clean(text or ACTIONS.get(action, action), 250),
        kind=clean(thing.kind, 20),
        key=clean(thing.key, 40),
        label=clean(thing.label, 200),
        result=result,
        reason=clean(reason, REASON),
        job_number=job_number,
        details=clean_details(details or {}),
    )
    if here is not None:
        here.entries += 1
        if result == Result.REFUSED and here.request is not None and connection.in_atomic_block:
            here.kept.append(entry)
            return entry
    store(entry)
    return entry


def store(entry: Entry) -> None:
    entry.save(force_insert=True)
    transaction.on_commit(_after_commit, robust=True)


def _after_commit() -> None:
    try:
        chain.seal()
    except (DatabaseError, OSError) as error:
        log.warning("an entry of the audit is not sealed yet, the clock will do it: %s", error)
    live.publish("audit")


def keep_refusals(here: origin.Origin) -> None:
    """At the end of a request: what was refused inside transactions, which may have been undone by it."""
    kept, here.kept = here.kept, []
    for entry in kept:
        store(entry)


def record_forbidden(here: origin.Origin) -> None:
    """Somebody known tried to change something without the right to it, and nothing told more about it."""
    if here.entries or here.request is None or here.person is None:
        return
    words = f"{here.request.method} {here.request.path_info}"
    record("access.forbidden", _("Tried %(what)s") % {"what": words}, by=here.person, result=Result.REFUSED)


def clean(text: Any, limit: int) -> str:
    """What every database takes: no NUL, no half characters, not longer than its column."""
    whole = str(text).replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def clean_details(values: dict[str, Any], depth: int = DEPTH) -> dict[str, Any]:
    """The same for what is told besides; what is called like a secret is not told, and nothing is endless."""
    return {
        clean(name, 100): HIDDEN if SECRET.search(str(name)) and value not in (None, "", []) else _clean(value, depth)
        for name, value in list(values.items())[:MOST_ITEMS]
    }


def _clean(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)[:MOST_TEXT]
    if isinstance(value, dict) and depth:
        return clean_details(value, depth - 1)
    if isinstance(value, list | tuple) and depth:
        return [_clean(one, depth - 1) for one in value[:MOST_ITEMS]]
    return clean(value, MOST_TEXT)
