"""What people and groups have: what their VMs really use, and what is reserved for them."""

from typing import Any

from django.db.models import Exists, OuterRef, Sum

from access.models import Group, User
from jobs.models import Job
from jobs.states import ACTIVE
from selfservice.measures import MEASURES, Amount
from selfservice.models import Reservation
from vms.models import Vm
from vms.states import ALIVE

Holder = User | Group
STARTS = ("vms.start",)


def usage_of(holder: Holder) -> Amount:
    """Three queries. A VM counts for its owner, and for its group besides."""
    mine: dict[str, Any] = {"owner" if isinstance(holder, User) else "group": holder}
    return _of_vms(mine).plus(_reserved(holder))


def _of_vms(mine: dict[str, Any]) -> Amount:
    """Of the VMs themselves; those with a reservation count by that, for they may be half made."""
    reserved = Reservation.objects.filter(vm=OuterRef("pk"), released_at=None)
    rows = Vm.objects.filter(~Exists(reserved), **mine).order_by()
    columns = ("uuid", "observed_state", "vcpus", "memory_bytes", "hardware__disks")
    found = list(rows.values_list(*columns))
    off = [str(uuid) for uuid, state, *_rest in found if state not in ALIVE]
    return Amount(
        vms=len(found),
        running_vms=len(found) - len(off) + _starting(off),
        vcpus=sum(row[2] for row in found),
        memory_bytes=sum(row[3] for row in found),
        disk_bytes=sum(disk_bytes(row[4]) for row in found),
    )


def disk_bytes(disks: list[dict[str, Any]] | None) -> int:
    """What the disks may grow to; ISOs in drives are nobody's."""
    return sum(disk.get("capacity_bytes") or 0 for disk in disks or () if disk.get("device") == "disk")


def _starting(uuids: list[str]) -> int:
    """How many of these will run when the jobs that were asked for are through."""
    if not uuids:
        return 0
    jobs = Job.objects.filter(operation__in=STARTS, state__in=ACTIVE, target_kind="vm", target_key__in=uuids)
    return jobs.order_by().values("target_key").distinct().count()


def _reserved(holder: Holder) -> Amount:
    sums = {name: Sum(name, default=0) for name in MEASURES}
    found = holder.reservations.filter(released_at=None).order_by().aggregate(**sums)
    return Amount(*(int(found[name]) for name in MEASURES))
