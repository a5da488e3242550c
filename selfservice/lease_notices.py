"""What people are told about the leases of their requests: in Drover, and by mail if they want."""

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from access.models import User
from notices.tell import settled, tell
from selfservice import telling
from selfservice.models import Request
from selfservice.states import RequestState


def shown(when: datetime) -> str:
    return date_format(timezone.localtime(when), "j F Y, H:i")


def _tell(row: Request, what: str, title: str, *lines: str, people: Sequence[User] = ()) -> None:
    """Once for each stage of a lease, however often a step is repeated."""
    stage = row.until.timestamp() if row.until else row.pk
    key = f"lease-{row.pk}-{what}-{row.state}-{stage:.0f}"
    tell("lease", people or telling.holders(row), title=title, lines=lines, url=row.get_absolute_url(), key=key)


def warned(row: Request) -> None:
    names = {"what": row.pattern}
    if row.state == RequestState.ARCHIVED and row.stage_until is not None:
        names["when"] = shown(row.stage_until)
        title = _("%(what)s is deleted on %(when)s") % names
        _tell(row, f"warned-{row.warned_days}", title, _("With all disks. Extend it if you still need it."))
    elif row.until is not None:
        names["when"] = shown(row.until)
        title = _("%(what)s ends on %(when)s") % names
        _tell(
            row,
            f"warned-{row.warned_days}",
            title,
            _("Its VMs are shut down then. Extend it if you still need them, or give it back if not."),
        )


def ended(row: Request) -> None:
    title = _("%(what)s has ended: its VMs are off") % {"what": row.pattern}
    _tell(
        row,
        "ended",
        title,
        _("Nothing is lost yet. Extend it and they can be started again."),
        *_next(row, archived=True),
    )


def archived(row: Request) -> None:
    title = _("%(what)s is archived") % {"what": row.pattern}
    _tell(
        row,
        "archived",
        title,
        _("Its VMs and their disks are still there, and come back if you extend it."),
        *_next(row),
    )


def _next(row: Request, *, archived: bool = False) -> list[str]:
    if row.stage_until is None:
        return []
    words = _("Otherwise it is archived on %(when)s.") if archived else _("Otherwise it is deleted on %(when)s.")
    return [words % {"when": shown(row.stage_until)}]


def deleted(row: Request) -> None:
    title = _("%(what)s is deleted") % {"what": row.pattern}
    _tell(row, "deleted", title, _("Its VMs and their disks are gone. This is the last message about it."))


def unused(row: Request, days: float) -> None:
    title = _("Is %(what)s still needed?") % {"what": row.pattern}
    why = _("For %(n)g days nobody had a console open, and nothing was computed or sent.") % {"n": days}
    at = row.unused_at.timestamp() if row.unused_at else 0
    _tell(row, f"unused-{at:.0f}", title, why, _("If it is not, give it back: others can use the room."))


def handed(row: Request) -> None:
    """To who has its VMs from now on."""
    at = timezone.now().timestamp()
    ends = [_("It ends on %(when)s.") % {"when": shown(row.until)}] if row.until else []
    _tell(row, f"handed-{at:.0f}", _("%(what)s is yours now") % {"what": row.pattern}, *ends)


def extended(row: Request) -> None:
    """By somebody else."""
    if row.until is not None:
        title = _("%(what)s now ends on %(when)s") % {"what": row.pattern, "when": shown(row.until)}
        _tell(row, "extended", title)


def wished(row: Request) -> None:
    """To who may decide about it."""
    words = {"who": row.asker, "what": row.pattern, "n": row.longer_days}
    title = _("%(who)s asks for %(n)s days more for %(what)s") % words
    people = [one for one in telling.deciders(row) if one.pk != row.asker_id]
    lines = row.longer_why.splitlines()[: telling.MOST_LINES]
    tell("inbox", people, title=title, lines=lines, url=row.get_absolute_url(), key=_wish_key(row, row.longer_at))


def answered(row: Request, asked_at: datetime | None) -> None:
    """For all of them."""
    if asked_at is not None:
        settled(telling.deciders(row), _wish_key(row, asked_at), telling.late_key(row, asked_at))


def _wish_key(row: Request, asked_at: datetime | None) -> str:
    return f"longer-{row.pk}-{asked_at.timestamp() if asked_at else 0:.0f}"


def refused(row: Request, why: str) -> None:
    at = timezone.now().timestamp()
    _tell(row, f"refused-{at:.0f}", _("%(what)s gets no more time") % {"what": row.pattern}, why)


def pinned(row: Request) -> None:
    at = row.pinned_at.timestamp() if row.pinned_at else 0
    title = _("%(what)s stays as it is") % {"what": row.pattern}
    _tell(row, f"pinned-{at:.0f}", title, _("An administrator has pinned it: it neither ends nor is it deleted."))
