"""What people are told about requests: who asked, who may decide, and administrators when a build failed."""

from collections.abc import Callable
from datetime import datetime

from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from access import rights
from access.models import Grant, Role, User
from access.roles import PERMISSIONS
from access.rules import can, everywhere
from jobs.models import Job
from jobs.states import State
from notices.tell import settled, tell
from selfservice.models import Request, Seat
from selfservice.states import Step
from vms.models import Vm

DECIDE = "selfservice.decide"
MOST_LINES = 10


def of_step(row: Request, step: Step, by: User | None, why: str) -> None:
    """Called with every step of a request (selfservice.steps), in its transaction."""
    if step in OF_CLASS and Seat.objects.filter(request=row).exists():
        if step == Step.FAILED:
            _trouble(row, why)
        return  # nobody asked for it: who made the class is told
    if step in TOLD:
        TOLD[step](row, by, why)
    if step in SETTLES:
        settled([*deciders(row)], _key(row, Step.ASKED), late_key(row))


def administrators() -> list[User]:
    return list(User.objects.filter(Q(role=Role.ADMINISTRATOR) | Q(is_superuser=True), is_active=True))


def holders(row: Request) -> list[User]:
    """Who has to hear of what becomes of its VMs: who asked for it; after they have left, their group's managers; else
    the administrators."""
    if row.asker.is_active:
        return [row.asker]
    managers = User.objects.filter(memberships__group=row.group, memberships__is_manager=True, is_active=True)
    return (list(managers) if row.group_id else []) or administrators()


def deciders(row: Request) -> list[User]:
    """Who may decide this request: by their role, or by a grant on everything or on its group. Not who asked for it,
    but for administrators."""
    roles = [role for role, brings in PERMISSIONS.items() if DECIDE in brings]
    given = Grant.objects.in_force().filter(Q(on_group=row.group_id) | Q(on_group=None), role__in=roles)
    given = given.filter(on_vm=None, on_pool=None).order_by()
    people = User.objects.filter(
        Q(role__in=roles)
        | Q(is_superuser=True)
        | Q(pk__in=given.filter(to_user__isnull=False).values("to_user"))
        | Q(memberships__group__in=given.filter(to_group__isnull=False).values("to_group")),
        is_active=True,
    )
    found = list(people.distinct().order_by("pk"))
    rights.load(found)
    return [one for one in found if can(one, DECIDE, row) and (one.pk != row.asker_id or everywhere(one, "vms.create"))]


def _key(row: Request, step: Step) -> str:
    return f"request-{row.pk}-{step}"


def late_key(row: Request, longer_at: datetime | None = None) -> str:
    """Of what was not answered in time: the request itself, or a wish of that moment for more time."""
    return _key(row, Step.ESCALATED) + (f"-{longer_at.timestamp():.0f}" if longer_at else "")


def wished(row: Request) -> str:
    """ "3 VMs “web-##” of Tiny Linux, for the group Networks"."""
    words = ngettext("%(n)s VM “%(name)s” of %(offer)s", "%(n)s VMs “%(name)s” of %(offer)s", row.count)
    told = words % {"n": row.count, "name": row.pattern, "offer": row.version.offer.name}
    return _("%(what)s, for the group %(group)s") % {"what": told, "group": row.group} if row.group else told


def waits(row: Request) -> None:
    """Somebody has to decide it."""
    title = _("%(who)s asks for %(what)s") % {"who": row.asker, "what": wished(row)}
    others = [one for one in deciders(row) if one.pk != row.asker_id]
    tell("inbox", others, title=title, lines=_lines(row.reason), url=row.get_absolute_url(), key=_key(row, Step.ASKED))


def _escalated(row: Request, by: User | None, why: str) -> None:
    title = _("%(who)s still waits for an answer") % {"who": row.asker}
    longer = _("They want %(n)s days more.") % {"n": row.longer_days} if row.longer_at else ""
    lines = [line for line in (wished(row), longer, why) if line]
    tell("inbox", deciders(row), title=title, lines=lines, url=_url(row), key=late_key(row, row.longer_at))


def _approved(row: Request, by: User | None, why: str) -> None:
    """What needed nobody is told when it is ready."""
    if by is not None:
        _tell_asker(row, _("Your request for %(name)s is approved") % {"name": row.pattern}, by, why)


def _rejected(row: Request, by: User | None, why: str) -> None:
    _tell_asker(row, _("Your request for %(name)s is rejected") % {"name": row.pattern}, by, why)


def _given_up(row: Request, by: User | None, why: str) -> None:
    if by is None or by.pk != row.asker_id:
        title = _("%(who)s has given up building %(name)s") % {"who": by or "Drover", "name": row.pattern}
        _tell_asker(row, title, None, why)


def _ready(row: Request, by: User | None, why: str) -> None:
    names = list(
        Vm.objects.filter(reservations__request=row).order_by("name").values_list("name", flat=True).distinct()
    )
    title = ngettext("%(name)s is ready", "%(name)s and %(n)s more are ready", len(names) or 1)
    shown = names[0] if names else row.pattern
    lines = [", ".join(names[:MOST_LINES]) + (" …" if len(names) > MOST_LINES else "")] if len(names) > 1 else []
    if row.until is not None:
        when = date_format(timezone.localtime(row.until), "j F Y, H:i")
        lines.append(_("Until %(when)s, if you do not extend it.") % {"when": when})
    tell("request", [row.asker], title=title % {"name": shown, "n": len(names) - 1}, lines=lines, url=_url(row))


def _failed(row: Request, by: User | None, why: str) -> None:
    title = _("%(name)s could not be built") % {"name": row.pattern}
    kept = _("It stays reserved for you. Try again, or wait: the administrators know of it.")
    tell("request", [row.asker], title=title, lines=[why, kept], url=_url(row))
    _trouble(row, why)


def _trouble(row: Request, why: str) -> None:
    """Administrators hear of every build that failed, with all that is known about it."""
    words = {"what": row.pattern, "who": row.asker, "n": row.pk}
    title = _("Building %(what)s for %(who)s failed (request %(n)s)") % words
    lines = [why, *_reasons(row.job)]
    tell(
        "trouble", administrators(), title=title, lines=lines, url=row.job.get_absolute_url() if row.job else _url(row)
    )


def _reasons(job: Job | None) -> list[str]:
    """What the parts of the build say, with the technical side of it."""
    if job is None:
        return []
    parts = Job.objects.filter(parent=job, state__in=[State.FAILED, State.ERRORED]).order_by("pk")
    found = [f"{part.title}: {part.error} {part.technical}".strip()[:500] for part in parts[:MOST_LINES]]
    return [*found, _("The job has the rest.")]


def _tell_asker(row: Request, title: str, by: User | None, why: str) -> None:
    lines = [*_lines(why), *([_("by %(who)s") % {"who": by.get_full_name() or by.username}] if by else [])]
    tell("request", [row.asker], title=title, lines=lines, url=_url(row))


def _lines(words: str) -> list[str]:
    return words.splitlines()[:MOST_LINES]


def _url(row: Request) -> str:
    return row.get_absolute_url()


TOLD: dict[str, Callable[[Request, User | None, str], None]] = {
    Step.ESCALATED: _escalated,
    Step.APPROVED: _approved,
    Step.REJECTED: _rejected,
    Step.GIVEN_UP: _given_up,
    Step.READY: _ready,
    Step.FAILED: _failed,
}
OF_CLASS = {Step.APPROVED, Step.FAILED}
SETTLES = {Step.APPROVED, Step.REJECTED, Step.WITHDRAWN}
