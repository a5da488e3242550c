"""VMs: list, one, create, power, migrate, delete."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Status
from ninja.pagination import paginate

from access.rules import PersonRequest, visible
from api.pages import Pieces
from api.rights import require
from api.schemas import JobOut, Problem
from api.vm_schemas import DeleteIn, DestinationOut, MigrateIn, VmDetailOut, VmIn, VmOut
from jobs.engine import enqueue
from jobs.operations import by_name
from vms import creation
from vms.destinations import destinations
from vms.migration import MigrateVm
from vms.models import Vm
from vms.spec import NewVms

router = Router(tags=["vms"])
ACTIONS = {
    "start": ("vms.start", {}),
    "shutdown": ("vms.shutdown", {}),
    "reboot": ("vms.reboot", {}),
    "force-off": ("vms.force-off", {}),
    "reset": ("vms.reset", {}),
    "pause": ("vms.pause", {}),
    "resume": ("vms.resume", {}),
    "autostart-on": ("vms.autostart", {"enabled": True}),
    "autostart-off": ("vms.autostart", {"enabled": False}),
}
STARTED = {202: JobOut, 403: Problem, 404: Problem, 409: Problem}


def rows(request: PersonRequest) -> QuerySet[Vm]:
    return visible(request.user, Vm.objects.select_related("owner", "host", "job").prefetch_related("tags"))


def find(request: PersonRequest, uuid: UUID) -> Vm:
    return get_object_or_404(rows(request), uuid=uuid)


@router.get("/", response=list[VmOut])
@paginate(Pieces)
def list_vms(
    request: PersonRequest,
    name: str = Query(""),
    host: int | None = Query(None, ge=1, le=2**63 - 1),
    tag: str = Query(""),
) -> QuerySet[Vm]:
    """VMs by name; `name` is a part of it."""
    require(request, "vms.view")
    found = rows(request).defer("definition", "live_definition", "hardware")
    found = found.filter(name__icontains=name) if name else found
    found = found.filter(host=host) if host is not None else found
    return found.filter(tags__name=tag) if tag else found


@router.post("/", response={202: JobOut, 403: Problem, 409: Problem})
def create_vm(request: PersonRequest, wish: VmIn) -> Any:
    """Make one VM, or `count` of them alike. The job's target_key is the new VM's UUID."""
    require(request, "vms.create")
    return Status(202, creation.request(request.user, NewVms.read(wish.dict())))


@router.get("/{uuid}", response={200: VmDetailOut, 404: Problem})
def get_vm(request: PersonRequest, uuid: UUID) -> Any:
    """One VM with its disks, interfaces and other hardware."""
    require(request, "vms.view")
    return find(request, uuid)


@router.get("/{uuid}/destinations", response={200: list[DestinationOut], 404: Problem})
def list_destinations(request: PersonRequest, uuid: UUID, mode: str = Query("live")) -> Any:
    """Where it could move, and what speaks against each other host."""
    require(request, "vms.migrate")
    return [
        {
            "host_id": found.host.pk,
            "name": found.host.name,
            "is_possible": found.is_possible,
            "blockers": [str(text) for text in found.blockers],
            "warnings": [str(text) for text in found.warnings],
        }
        for found in destinations(find(request, uuid), mode)
    ]


@router.post("/{uuid}/migrate", response=STARTED)
def migrate_vm(request: PersonRequest, uuid: UUID, how: MigrateIn) -> Any:
    """Move it to another host."""
    return Status(202, enqueue(MigrateVm(find(request, uuid), how.dict()), user=request.user))


@router.post("/{uuid}/actions/{action}", response=STARTED)
def act_on_vm(request: PersonRequest, uuid: UUID, action: str) -> Any:
    """start, shutdown, reboot, force-off, reset, pause, resume, autostart-on, autostart-off."""
    vm = find(request, uuid)
    if action not in ACTIONS:
        get_object_or_404(Vm.objects.none())
    name, params = ACTIONS[action]
    return Status(202, enqueue(by_name(name)(vm, dict(params)), user=request.user))


@router.delete("/{uuid}", response=STARTED)
def delete_vm(request: PersonRequest, uuid: UUID, what: DeleteIn) -> Any:
    """Remove its definition, and the disks that are named."""
    operation = by_name("vms.delete")(find(request, uuid), what.dict())
    return Status(202, enqueue(operation, user=request.user))
