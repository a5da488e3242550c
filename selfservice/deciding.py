"""What becomes of requests: approve, reject, withdraw, try again, give up; and what nobody answers."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import User
from access.rules import can, everywhere, visible
from jobs.engine import enqueue
from jobs.errors import Refused
from selfservice import naming, quotas, terms
from selfservice.models import Request, RequestEvent
from selfservice.operations import BuildRequest
from selfservice.sizes import SIZES, check_sizes, reserve
from selfservice.states import RequestState, Step
from selfservice.steps import change, locked, made, not_possible, note
from ui import text
from ui.text import Text

PARTS = ("asker", "group", "version__offer", "decided_by")
CHANGEABLE = ("count", *SIZES, "lease_days")  # by who approves
S = RequestState


def rows() -> QuerySet[Request]:
    return Request.objects.select_related(*PARTS).defer("version__offer__picture", "version__offer__text")


def undecided(user: User) -> QuerySet[Request]:
    """What this person may decide, oldest first, those that nobody answered in time before all."""
    found = visible(user, rows().filter(state=RequestState.PENDING), "selfservice.decide")
    if not everywhere(user, "vms.create"):
        found = found.exclude(asker=user)
    return found.order_by(F("escalated_at").asc(nulls_last=True), "pk")


def held(request: Request, state: RequestState) -> Request:
    """Its row, held. Raises Refused if it is in another state by now."""
    row = locked(request)
    if row.state != state:
        raise not_possible(row)
    return row


def may_decide(user: User, request: Request) -> bool:
    return can(user, "selfservice.decide", request)


def check_decider(by: User, request: Request) -> None:
    """Nobody decides about their own wish, but administrators, who could make the VM anyway."""
    if not may_decide(by, request):
        raise PermissionDenied
    if by.pk == request.asker_id and not everywhere(by, "vms.create"):
        raise Refused(_("You asked for it yourself: somebody else decides."))


@transaction.atomic
def approve(request: Request, by: User, *, why: str = "", changes: dict[str, Any] | None = None) -> Request:
    """Let it be built; with changes of its sizes it is reserved anew, so that what is reserved is what is built."""
    check_decider(by, request)
    row = held(request, S.PENDING)
    if not row.asker.is_active:
        raise Refused(_("%(who)s is deactivated: nobody could use it.") % {"who": row.asker})
    new = {name: value for name, value in (changes or {}).items() if getattr(row, name) != value}
    if new:
        _apply(row, new, by)
        why = " ".join(part for part in (why, told(new)) if part)
    return settle(row, by=by, why=why)


def _apply(row: Request, new: dict[str, Any], by: User) -> None:
    if unknown := set(new) - set(CHANGEABLE):
        raise ValueError(f"not changed by approving: {unknown}")
    for name, value in new.items():
        setattr(row, name, value)
    check_sizes(row.version, {name: getattr(row, name) for name in ("count", *SIZES)})
    most = row.version.most_lease_days
    if most is not None and (row.lease_days is None or row.lease_days > most):
        raise Refused(_("At most %(n)s days.") % {"n": most}, field="lease_days")
    naming.check(row.pattern, row.count)
    row.save(update_fields=list(new))
    quotas.hold(row.asker, row.group)
    quotas.release(_("approved with changes"), request=row)
    reserve(row, told=by)


def told(new: dict[str, Any]) -> str:
    """The changes in words, for the history."""
    labels = {"count": _("VMs"), "vcpus": _("vCPUs"), "memory_bytes": _("memory"), "disk_bytes": _("disk")}
    labels["lease_days"] = _("days")
    shown = {
        name: text.size(value) if name.endswith("_bytes") else text.DASH if value is None else str(value)
        for name, value in new.items()
    }
    return _("Changed: %(changes)s.") % {"changes": ", ".join(f"{labels[name]} {shown[name]}" for name in new)}


def settle(row: Request, *, by: User | None, why: Text) -> Request:
    """Approve it as it is; by None: it needed nobody."""
    decided = {"decided_by": by, "decided_at": timezone.now()}
    return _build(change(row, S.APPROVED, Step.APPROVED, by=by, why=why, **decided))


def _build(row: Request) -> Request:
    """In Drover's name: the asker may not make VMs, nor see on which host and how it is done."""
    row.job = enqueue(BuildRequest(row), user=None)
    row.save(update_fields=["job"])
    return row


def reject(request: Request, by: User, why: str) -> Request:
    check_decider(by, request)
    if not why.strip():
        raise Refused(_("Say why: the person who asked reads it."), field="why")
    return change(request, S.REJECTED, Step.REJECTED, by=by, why=why, decided_by=by, decided_at=timezone.now())


@transaction.atomic
def withdraw(request: Request, by: User) -> Request:
    """By who asked, before somebody has decided."""
    if request.asker_id != by.pk:
        raise PermissionDenied
    return change(held(request, S.PENDING), S.WITHDRAWN, Step.WITHDRAWN, by=by)


# --- after a failed build --------------------------------------------------------------------------------------------


def may_go_on(user: User, request: Request) -> bool:
    """Try again, or give up."""
    return request.asker_id == user.pk or may_decide(user, request)


@transaction.atomic
def retry(request: Request, by: User) -> Request:
    """Make what is missing; it is still reserved."""
    if not may_go_on(by, request):
        raise PermissionDenied
    return _build(change(held(request, S.FAILED), S.APPROVED, Step.AGAIN, by=by))


@transaction.atomic
def give_up(request: Request, by: User) -> Request:
    """No more tries: what could not be made is no longer reserved; VMs that were made stay."""
    if not may_go_on(by, request):
        raise PermissionDenied
    return end_failed(request, by)


@transaction.atomic
def end_failed(request: Request, by: User | None, why: Text = "") -> Request:
    """The same for who has asked for the right already."""
    row = held(request, S.FAILED)
    has_some = made(row).exists()
    to, more = (S.READY, terms.begin(row, timezone.now())) if has_some else (S.WITHDRAWN, {})
    row = change(row, to, Step.GIVEN_UP, by=by, why=why, **more)
    quotas.release(_("given up"), request=row)
    return row


def give_up_old() -> int:
    """What failed and nobody has tried again for long holds no quota for ever, and what was made has a lease."""
    before = timezone.now() - timedelta(hours=settings.GIVE_UP_HOURS)
    last = RequestEvent.objects.filter(request=OuterRef("pk")).order_by("-pk").values("at")[:1]
    failed = Request.objects.filter(state=S.FAILED).annotate(last=Subquery(last)).filter(last__lt=before)
    rows = list(failed.order_by("pk"))
    for row in rows:
        try:
            end_failed(row, None, _("Nobody has tried again for %(n)s hours.") % {"n": settings.GIVE_UP_HOURS})
        except Refused:  # somebody was quicker
            continue
    return len(rows)


def escalate() -> int:
    """Mark what nobody has answered for too long, requests and wishes for more time, once. Returns how many."""
    before = timezone.now() - timedelta(hours=settings.ESCALATE_HOURS)
    late = Q(state=S.PENDING, asked_at__lt=before) | Q(longer_at__lt=before)
    waiting = Request.objects.filter(late, escalated_at=None).order_by("pk")
    marked = 0
    for pk in list(waiting.values_list("pk", flat=True)):
        with transaction.atomic():
            if waiting.filter(pk=pk).order_by().update(escalated_at=timezone.now()):
                marked += 1
                row = Request.objects.get(pk=pk)
                why = _("Nobody has answered for %(n)s hours.") % {"n": settings.ESCALATE_HOURS}
                note(row, Step.ESCALATED, by=None, why=why, before=row.state)
    return marked
