"""Leases: what the clock does about them, and what people do: extend, ask for more time, pin, give back.

The rules of when are in `terms`; the steps that touch hosts are jobs (`lease_operations`).
"""

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from access.models import Group, User
from access.rules import can, everywhere, visible
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from jobs.states import ACTIVE
from selfservice import deciding, lease_notices, quotas, terms
from selfservice.lease_notices import shown
from selfservice.lease_operations import STEPS, stamp
from selfservice.measures import Amount
from selfservice.models import Request
from selfservice.states import ENDED, LASTING, LEASED, RequestState, Step
from selfservice.steps import change, locked, not_possible, note, vms_of
from selfservice.terms import Due, days
from ui.text import Text
from vms.models import Vm
from vms.operations.base import no_answer
from vms.operations.power import AutostartVm

log = logging.getLogger(__name__)
S = RequestState
AT_ONCE = 500


# --- the clock -------------------------------------------------------------------------------------------------------


def look(now: datetime) -> int:
    """Do or ask for every step that is due. Returns how many. Two of these at once take each step once."""
    due = Request.objects.filter(next_at__lte=now).order_by("next_at", "pk").values_list("pk", "next_at")
    return sum(_claimed(pk, at, now) and step(pk, now) for pk, at in list(due[:AT_ONCE]))


def _claimed(pk: int, at: datetime | None, now: datetime) -> bool:
    """Whether it is ours. It is looked at again later: after a job that failed, and so that a row that can't be
    dealt with never holds up the others."""
    return Request.objects.filter(pk=pk, next_at=at).update(next_at=now + terms.retry()) == 1


@transaction.atomic
def step(pk: int, now: datetime) -> bool:
    """The one step that is due for this request, if still one is."""
    row = Request.objects.select_for_update(of=("self",)).filter(pk=pk).first()
    found = terms.next_step(row) if row else None
    if row is None or found is None or found.at > now:
        return row is not None and _wait(row, found.at if found else None)
    if found.what == Due.WARN:
        warn(row, now)
        return True
    if is_busy(row):
        return False
    if reason := next((why for vm in vms_of(row).select_related("host") if (why := no_answer(vm))), None):
        log.info("%s: %s has to wait: %s", row, found.what, reason)
        return False
    try:
        with transaction.atomic():
            _begin(row, found.what)
    except Refused as refused:
        log.warning("%s: %s is not possible: %s", row, found.what, refused.message)
    return True


def _wait(row: Request, until: datetime | None) -> bool:
    row.next_at = until
    row.save(update_fields=["next_at"])
    return False


def _begin(row: Request, what: Due) -> None:
    row.job = enqueue(STEPS[what](row, {"deadline": stamp(row)}), user=None)
    row.save(update_fields=["job"])


def is_busy(row: Request) -> bool:
    """Whether one of its steps is being done just now."""
    names = [kind.name for kind in STEPS.values()]
    return row.job_id is not None and Job.objects.filter(pk=row.job_id, operation__in=names, state__in=ACTIVE).exists()


def warn(row: Request, now: datetime) -> None:
    """Tell that it ends (or is deleted) soon; late, that is not before the last warning's time has passed."""
    columns = terms.warning(row, now)
    for name, value in columns.items():
        setattr(row, name, value)
    columns["next_at"] = terms.next_at(row)
    ends = terms.deadline(row)
    words = _("It is deleted on %(when)s.") if row.state == S.ARCHIVED else _("It ends on %(when)s.")
    why = words % {"when": shown(ends)} if ends else ""
    if row.state == S.READY:
        row = change(row, S.EXPIRING, Step.WARNED, by=None, why=why, **columns)
    else:
        _save(row, columns, Step.WARNED, by=None, why=why)
    lease_notices.warned(row)


def _save(row: Request, columns: dict[str, Any], step: Step, *, by: User | None, why: Text = "") -> None:
    """A step that leaves it in its state."""
    for name, value in columns.items():
        setattr(row, name, value)
    row.save(update_fields=list(columns))
    note(row, step, by=by, why=why, before=row.state)


# --- more time -------------------------------------------------------------------------------------------------------


def may_extend(user: User, request: Request) -> bool:
    """Whose it is, and who could have approved it."""
    return is_own(user, request) or deciding.may_decide(user, request)


def is_own(user: User, request: Request) -> bool:
    return request.asker_id == user.pk and can(user, "selfservice.ask")


def held(request: Request) -> Request:
    """Its row, held, if its lease can be changed now. Raises Refused."""
    row = locked(request)
    if row.state not in LASTING:
        raise not_possible(row)
    if row.returned_at is not None:
        raise Refused(_("It was given back: its VMs are being deleted."))
    if is_busy(row):
        raise Refused(_("Its lease has just ended and Drover is at work on its VMs: try again in a minute."))
    return row


@transaction.atomic
def extend(request: Request, by: User, *, now: datetime) -> Request:
    """One click: another lease from its end on (from now, if it has ended), up to the maximum. Back to ready."""
    if not may_extend(by, request):
        raise PermissionDenied
    row = held(request)
    until = terms.one_click(row, now)
    if until is None:
        if row.until is None:
            raise Refused(_("It has no end."))
        raise Refused(_("It has reached the longest time that this offer gives: ask for more time."))
    return _renew(row, until, by, now, Step.EXTENDED)


def _renew(row: Request, until: datetime, by: User, now: datetime, step: Step, why: str = "", **more: Any) -> Request:
    """Ready again, until then. What its VMs take besides their disks is taken of the quotas again."""
    if row.state == S.ARCHIVED:
        check_room(row, by)
    columns = {**terms.renewed(row, until, now), **more}
    wakes, columns["autostarts"] = row.autostarts, []
    words = " ".join(part for part in (_("Until %(when)s.") % {"when": shown(until)}, why) if part)
    if row.state == S.READY:
        _save(row, columns, step, by=by, why=words)
    else:
        row = change(row, S.READY, step, by=by, why=words, **columns)
    for vm in Vm.objects.filter(uuid__in=wakes, reservations__request=row).distinct():
        enqueue(AutostartVm(vm, {"enabled": True}), user=None)
    if by.pk != row.asker_id:
        lease_notices.extended(row)
    return row


@transaction.atomic
def give_until(request: Request, by: User, until: datetime, *, beyond: bool, now: datetime) -> Request:
    """It lasts until then, longer or shorter. Whoever calls it has asked for the right.

    beyond: also longer than its offer gives.
    """
    row = held(request)
    if row.most_until is not None and until > row.most_until:
        if not beyond:
            raise Refused(_("Its offer gives it until %(when)s at most.") % {"when": shown(row.most_until)})
        row.most_until = until
    return _renew(row, until, by, now, Step.EXTENDED, most_until=row.most_until)


def check_room(row: Request, by: User) -> None:
    """Raises Refused if there is no room any more for what its archived VMs take again, but for their disks."""
    more: dict[User | Group, Amount] = {}
    for vm in vms_of(row).select_related("owner", "group"):
        for holder in (vm.owner, vm.group):
            if holder is not None:
                mine = Amount(vms=1, vcpus=vm.vcpus, memory_bytes=vm.memory_bytes)
                more[holder] = more.get(holder, Amount()).plus(mine)
    ordered = sorted(more, key=lambda holder: holder.pk)
    quotas.hold(*ordered)
    for holder in ordered:
        quotas.check(holder, more[holder], asker=by)


# --- more time than the offer gives ----------------------------------------------------------------------------------


@transaction.atomic
def ask_longer(request: Request, by: User, number: int, why: str, *, now: datetime) -> Request:
    """A wish for so many days more, which somebody decides about. Who may decide it themselves has it at once."""
    if not may_extend(by, request):
        raise PermissionDenied
    row = held(request)
    if row.until is None:
        raise Refused(_("It has no end."))
    if row.longer_at is not None:
        raise Refused(_("More time is asked for already: somebody decides about it."))
    if not why.strip():
        raise Refused(_("Say why: somebody has to decide about it."), field="why")
    words = _("%(n)s days more: %(why)s") % {"n": number, "why": why}
    columns = {"longer_days": number, "longer_why": why, "longer_at": now, "escalated_at": None}
    for name, value in columns.items():
        setattr(row, name, value)
    _save(row, {**columns, "next_at": terms.next_at(row)}, Step.LONGER, by=by, why=words)
    lease_notices.wished(row)
    return row


def undecided(user: User) -> QuerySet[Request]:
    """Wishes for more time that this person may decide about, oldest first, those not answered in time before all."""
    found = visible(user, deciding.rows().filter(longer_at__isnull=False), "selfservice.decide")
    if not everywhere(user, "vms.create"):
        found = found.exclude(asker=user)
    return found.order_by(F("escalated_at").asc(nulls_last=True), "longer_at", "pk")


def filtered(rows: QuerySet[Request], which: str, now: datetime) -> QuerySet[Request]:
    """For the lists: those that end soon, and so on, what comes first in front."""
    if which == "soon":
        soon = Q(until__lte=now + days(settings.LEASE_WARN_DAYS[0])) | Q(state=S.EXPIRING)
        return rows.filter(soon, state__in=LEASED, pinned_at=None).order_by("until", "pk")
    if which == "ended":
        return rows.filter(state__in=ENDED, pinned_at=None).order_by("stage_until", "pk")
    columns = {"unused": "unused_at", "longer": "longer_at", "pinned": "pinned_at"}
    return rows.filter(state__in=LASTING, **{f"{columns[which]}__isnull": False})


NO_WISH: dict[str, Any] = {"longer_days": None, "longer_why": "", "longer_at": None}


def _wish(request: Request, by: User) -> Request:
    deciding.check_decider(by, request)
    row = held(request)
    if row.longer_at is None:
        raise Refused(_("Nobody asks for more time (any more)."))
    return row


@transaction.atomic
def grant(request: Request, by: User, number: int, why: str = "", *, now: datetime) -> Request:
    """So many days more, from its end on or from now."""
    row = _wish(request, by)
    until = max(now, row.until or now) + days(number)
    most = None if row.most_until is None else max(row.most_until, until)
    lease_notices.answered(row, row.longer_at)
    return _renew(row, until, by, now, Step.GRANTED, why, most_until=most, **NO_WISH)


@transaction.atomic
def refuse(request: Request, by: User, why: str) -> Request:
    """No more time; what waited for the answer goes on, with a warning before anything is deleted."""
    row = _wish(request, by)
    if not why.strip():
        raise Refused(_("Say why: the person who asked reads it."), field="why")
    asked_at, row.longer_at = row.longer_at, None
    if row.state == S.ARCHIVED:
        row.warned_days = None  # they may have waited beyond its end: they are told once more before it is deleted
    columns = {**NO_WISH, "warned_days": row.warned_days, "next_at": terms.next_at(row)}
    _save(row, columns, Step.REFUSED, by=by, why=why)
    lease_notices.refused(row, why)
    lease_notices.answered(row, asked_at)
    return row


# --- pinned ----------------------------------------------------------------------------------------------------------


def may_pin(user: User) -> bool:
    return everywhere(user, "selfservice.offer")


@transaction.atomic
def pin(request: Request, by: User, why: str = "", *, now: datetime) -> Request:
    """It stays as it is until it is no longer pinned."""
    if not may_pin(by):
        raise PermissionDenied
    row = held(request)
    if row.pinned_at is not None:
        raise Refused(_("It is pinned already."))
    _save(row, {"pinned_at": now, "pinned_by": by, "next_at": None}, Step.PINNED, by=by, why=why)
    lease_notices.pinned(row)
    return row


@transaction.atomic
def unpin(request: Request, by: User, why: str = "", *, now: datetime) -> Request:
    """Its lease goes on, with the whole time of its warnings, or of its stage, before it."""
    if not may_pin(by):
        raise PermissionDenied
    row = held(request)
    if row.pinned_at is None:
        raise Refused(_("It is not pinned."))
    row.pinned_at = row.pinned_by = None
    row.warned_days = None
    _lengthen(row, now)
    columns = ("pinned_at", "pinned_by", "warned_days", "until", "stage_until")
    new = {name: getattr(row, name) for name in columns}
    _save(row, {**new, "next_at": terms.next_at(row)}, Step.UNPINNED, by=by, why=why)
    return row


def _lengthen(row: Request, now: datetime) -> None:
    """So that the present stage lasts at least as long as it is announced before."""
    ends = terms.deadline(row)
    if ends is None:
        return
    if row.state in LEASED:
        row.until = max(ends, now + days(terms.distances(row)[0]))
    else:
        stage = settings.LEASE_GRACE_DAYS if row.state == S.EXPIRED else settings.LEASE_ARCHIVE_DAYS
        row.stage_until = max(ends, now + days(stage))


# --- given back ------------------------------------------------------------------------------------------------------


def may_return(user: User, request: Request) -> bool:
    """Whose it is, and who may delete any VM."""
    return is_own(user, request) or everywhere(user, "vms.delete")


@transaction.atomic
def give_back(request: Request, by: User, why: str = "", *, now: datetime) -> Request:
    """Its VMs are deleted with their disks, at once. This can't be undone."""
    if not may_return(by, request):
        raise PermissionDenied
    if not everywhere(by, "vms.delete") and vms_of(request).exclude(owner=request.asker).exists():
        raise Refused(_("Not all of its VMs are yours any more: an operator can delete them."))
    return take_back(request, by, why, now=now)


@transaction.atomic
def take_back(request: Request, by: User | None, why: str = "", *, now: datetime) -> Request:
    """The same for who has asked for the right already."""
    row = held(request)
    if row.pinned_at is not None:
        raise Refused(_("An administrator has pinned it: it can't be given back before they unpin it."))
    lease_notices.answered(row, row.longer_at)
    _save(row, {"returned_at": now, **NO_WISH}, Step.RETURNED, by=by, why=why)
    _begin(row, Due.DELETE)
    _wait(row, now + terms.retry())
    return row


@transaction.atomic
def keep(request: Request, by: User, *, now: datetime) -> Request:
    """It was suggested for return, and is needed all the same."""
    if not may_extend(by, request):
        raise PermissionDenied
    row = held(request)
    if row.unused_at is None:
        raise Refused(_("It is not suggested for return (any more)."))
    _save(row, {"unused_at": None, "kept_at": now}, Step.KEPT, by=by)
    return row
