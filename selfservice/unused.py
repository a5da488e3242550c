"""What nobody has used for long is suggested for return: to who has it, once, and never more than suggested."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from hosts import metrics
from selfservice import lease_notices, terms
from selfservice.models import Request
from selfservice.states import LEASED, Step
from selfservice.steps import note, vms_of
from vms.models import ConsoleSession, Vm
from vms.states import ALIVE

# A guest with nothing to do stays below these in the mean of half an hour: its clock, its logs, its DHCP.
BUSY_CPU_PERCENT = 5.0  # of all its vCPUs
BUSY_TX_BYTES = 500.0  # a second, sent by it: what it hears is the talk of the network
PER_LOOK = 200


def look(now: datetime) -> int:
    """Suggest what is unused; take the suggestion back of what is used again. Returns how many were suggested."""
    if not settings.LEASE_UNUSED_DAYS:
        return 0
    span = terms.days(settings.LEASE_UNUSED_DAYS)
    rows = Request.objects.filter(state__in=LEASED, leased_at__lte=now - span, pinned_at=None, returned_at=None)
    return sum(_look_at(row, now, span) for row in rows.order_by("pk").iterator(PER_LOOK))


def _look_at(row: Request, now: datetime, span: timedelta) -> bool:
    if row.kept_at is not None and row.kept_at > now - span:
        return False
    is_unused = all(not is_used(vm, now, span) for vm in vms_of(row))
    if is_unused == (row.unused_at is not None):
        return False
    return _tell(row.pk, now if is_unused else None)


@transaction.atomic
def _tell(pk: int, at: datetime | None) -> bool:
    """at None: it is used again, which needs no message."""
    mine = Request.objects.filter(pk=pk, state__in=LEASED, unused_at__isnull=at is not None)
    if not mine.update(unused_at=at) or at is None:
        return False
    row = Request.objects.get(pk=pk)
    note(row, Step.UNUSED, by=None, before=row.state)
    lease_notices.unused(row, settings.LEASE_UNUSED_DAYS)
    return True


def is_used(vm: Vm, now: datetime, span: timedelta) -> bool:
    """Whether within this time a console was open, it computed, or it sent. What is not known counts as used."""
    since = now - span
    if vm.created_at > since:
        return True
    last = ConsoleSession.objects.filter(vm=vm).aggregate(opened=Max("used_at"), seen=Max("seen_at"))
    if any(at is not None and at > since for at in last.values()):
        return True
    if vm.observed_state not in ALIVE and vm.state_since <= since:
        return False
    return _worked(vm, span)


def _worked(vm: Vm, span: timedelta) -> bool:
    figures = metrics.history("vm", str(vm.uuid), int(span.total_seconds()))
    cpu, sent = ([one for one in figures[name] if one is not None] for name in ("cpu", "net_tx"))
    if not cpu:
        return vm.observed_state in ALIVE  # nothing is known of one that runs; one that is off did nothing
    return max(cpu) >= BUSY_CPU_PERCENT or max(sent, default=0.0) >= BUSY_TX_BYTES
