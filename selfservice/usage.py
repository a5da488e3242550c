"""What people and groups have: what their VMs really use, and what is reserved for them."""

from typing import Any, NamedTuple, Self
from uuid import UUID

from django.db.models import Exists, OuterRef, Sum

from access.models import Group, User
from jobs.models import Job
from jobs.states import ACTIVE
from selfservice.measures import MEASURES, Amount
from selfservice.models import Reservation
from selfservice.states import RequestState
from vms.models import Snapshot, Vm
from vms.states import ALIVE

Holder = User | Group
START, RESIZE, RESIZE_DISK = "vms.start", "vms.resize", "vms.resize-disk"
SNAPSHOT, REVERT, RENEW = "vms.snapshot", "vms.snapshot-revert", "vms.snapshot-renew"
GROWTH = (START, RESIZE, RESIZE_DISK, SNAPSHOT, REVERT, RENEW)  # jobs after which a VM has more than before


class Size(NamedTuple):
    """What of a VM's row counts."""

    uuid: UUID
    observed_state: str
    vcpus: int
    memory_bytes: int
    disks: list[dict[str, Any]] | None
    is_archived: bool = False  # its lease has ended: of its own it only takes the room of its disks

    @classmethod
    def of(cls, vm: Vm) -> Self:
        return cls(vm.uuid, vm.observed_state, vm.vcpus, vm.memory_bytes, vm.disks)


def usage_of(holder: Holder) -> Amount:
    """Four queries. A VM counts for its owner, and for its group besides."""
    mine: dict[str, Any] = {"owner" if isinstance(holder, User) else "group": holder}
    return _of_vms(mine).plus(_reserved(holder))


def _of_vms(mine: dict[str, Any]) -> Amount:
    """Of the VMs themselves; those with a reservation count by that, for they may be half made."""
    reserved = Reservation.objects.filter(vm=OuterRef("pk"), released_at=None)
    rows = Vm.objects.filter(~Exists(reserved), **mine).order_by()
    archived = Reservation.objects.filter(vm=OuterRef("pk"), request__state=RequestState.ARCHIVED)
    columns = ("uuid", "observed_state", "vcpus", "memory_bytes", "hardware__disks", Exists(archived))
    found = [Size(*row) for row in rows.values_list(*columns)]
    counted = [one for one in found if not one.is_archived]
    now = Amount(
        vms=len(counted),
        running_vms=sum(one.observed_state in ALIVE for one in found),
        vcpus=sum(one.vcpus for one in counted),
        memory_bytes=sum(one.memory_bytes for one in counted),
        disk_bytes=sum(disk_bytes(one.disks) for one in found),
        snapshots=Snapshot.objects.filter(**{f"vm__{name}": holder for name, holder in mine.items()}).count(),
    )
    return now.plus(_coming({str(one.uuid): one for one in found})) if found else now


def disk_bytes(disks: list[dict[str, Any]] | None) -> int:
    """What the disks may grow to; ISOs in drives are nobody's."""
    return sum(disk.get("capacity_bytes") or 0 for disk in disks or () if disk.get("device") == "disk")


def _coming(sizes: dict[str, Size]) -> Amount:
    """What comes to it when the jobs that were asked for are through."""
    jobs = Job.objects.filter(operation__in=GROWTH, state__in=ACTIVE, target_kind="vm").order_by()
    total, started = Amount(), set()
    for name, key, params in jobs.values_list("operation", "target_key", "params"):
        if key not in sizes or (name == START and key in started):
            continue
        if name == START:
            started.add(key)
        if name in {SNAPSHOT, RENEW} and Snapshot.objects.filter(vm__uuid=key, name=params.get("name")).exists():
            continue  # it is there already, though its job is not through
        total = total.plus(growth(name, params, sizes[key]))
    return total


def growth(operation: str, params: dict[str, Any], size: Size) -> Amount:
    """What a VM of this size has more after the operation."""
    if operation == START:
        return Amount(running_vms=int(size.observed_state not in ALIVE))
    if operation == RESIZE:
        vcpus, memory = params.get("vcpus") or 0, params.get("memory_bytes") or 0
        return Amount(vcpus=max(0, vcpus - size.vcpus), memory_bytes=max(0, memory - size.memory_bytes))
    if operation in {SNAPSHOT, RENEW}:
        return Amount(snapshots=1)
    if operation == REVERT:  # the VM has again what it had then
        return growth(RESIZE, params, size).plus(growth(START, {}, size) if params.get("starts") else Amount())
    disks = [disk for disk in size.disks or () if disk.get("target") == params.get("target")]
    return Amount(disk_bytes=max(0, (params.get("size_bytes") or 0) - disk_bytes(disks)))


def _reserved(holder: Holder) -> Amount:
    sums = {name: Sum(name, default=0) for name in MEASURES}
    found = holder.reservations.filter(released_at=None).order_by().aggregate(**sums)
    return Amount(*(int(found[name]) for name in MEASURES))
