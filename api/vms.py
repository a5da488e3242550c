"""VMs: list, one, create, change, power, migrate, delete."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from ninja import Query, Router, Status
from ninja.pagination import paginate

from access import rules
from access.models import User
from access.rules import PersonRequest, visible
from api.forms import Invalid, cleaned
from api.pages import Pieces
from api.rights import require
from api.schemas import JobOut, Problem
from api.vm_schemas import (
    ActionIn,
    DeleteIn,
    DestinationOut,
    DiskResizeIn,
    MigrateIn,
    RenameIn,
    ResizeIn,
    VmChangeIn,
    VmDetailOut,
    VmIn,
    VmOut,
)
from jobs.discretion import sees_all
from jobs.engine import enqueue
from jobs.operations import by_name
from vms import creation
from vms.actions import POSTS
from vms.destinations import destinations
from vms.disks import find_disk
from vms.forms import DiskForm, EditForm, RenameForm, ResizeForm
from vms.migration import MigrateVm
from vms.models import Vm
from vms.operations.change import EditVm, RenameVm, ResizeDisk, ResizeVm
from vms.spec import NewVms

router = Router(tags=["vms"])
ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {**POSTS, "forget": ("vms.forget", {}), "rebuild": ("vms.rebuild", {})}
TAKES = {"start": "silent_hosts", "shutdown": "timeout_s", "force-off": "host"}  # of ActionIn
STARTED = {202: JobOut, 403: Problem, 404: Problem, 409: Problem, 422: Problem}


def rows(request: PersonRequest) -> QuerySet[Vm]:
    return visible(request.user, Vm.objects.select_related("owner", "host", "job").prefetch_related("tags"))


def find(request: PersonRequest, uuid: UUID, permission: str = "") -> Vm:
    return rules.find(request.user, rows(request), permission, uuid=uuid)


def may_change(request: PersonRequest, uuid: UUID, permission: str = "vms.change") -> Vm:
    """The VM, for a caller who may change it: asked before the fields are looked at, as the pages do."""
    return find(request, uuid, permission)


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
    if host is not None:
        found = found.filter(host=host) if sees_all(request.user) else found.none()
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


@router.patch("/{uuid}", response=STARTED)
def change_vm(request: PersonRequest, uuid: UUID, wish: VmChangeIn) -> Any:
    """Its title, description, tags, owner and group; what is left out stays."""
    vm = may_change(request, uuid, "vms.edit")
    given = wish.dict(exclude_unset=True)
    if isinstance(given.get("owner"), str):
        person = User.objects.filter(username=given["owner"]).first()
        given["owner"] = person.pk if person else 0
    form = EditForm({**EditForm(vm=vm, user=request.user).initial, **given}, vm=vm, user=request.user)
    if foreign := sorted(set(given) - set(form.fields)):
        raise Invalid({field: [_("You may not say whose it is.")] for field in foreign})
    cleaned(form)
    params = {name: value for name, value in form.params().items() if name in given}
    return Status(202, enqueue(EditVm(vm, params), user=request.user))


@router.post("/{uuid}/rename", response=STARTED)
def rename_vm(request: PersonRequest, uuid: UUID, wish: RenameIn) -> Any:
    """Only while it is off. Its disks keep the names of their files."""
    vm = may_change(request, uuid, "vms.edit")
    return Status(202, enqueue(RenameVm(vm, cleaned(RenameForm(wish.dict(), vm=vm))), user=request.user))


@router.post("/{uuid}/resize", response=STARTED)
def resize_vm(request: PersonRequest, uuid: UUID, wish: ResizeIn) -> Any:
    """vCPUs and memory; what is left out stays. The job's result says what holds now and what from the next start."""
    vm = may_change(request, uuid)
    form = ResizeForm({**ResizeForm(vm=vm).initial, **wish.dict(exclude_none=True)}, vm=vm)
    cleaned(form)
    return Status(202, enqueue(ResizeVm(vm, form.params()), user=request.user))


@router.post("/{uuid}/disks/{target}/resize", response=STARTED)
def resize_disk(request: PersonRequest, uuid: UUID, target: str, wish: DiskResizeIn) -> Any:
    """Let a disk (`vda`) grow; it also can while the VM runs."""
    vm = may_change(request, uuid)
    disk = find_disk(vm, target)
    if disk is None:
        raise Http404
    data = cleaned(DiskForm(wish.dict(), now_bytes=int(disk.get("capacity_bytes") or 0)))
    return Status(202, enqueue(ResizeDisk(vm, {"target": target, **data}), user=request.user))


@router.get("/{uuid}/destinations", response={200: list[DestinationOut], 404: Problem})
def list_destinations(request: PersonRequest, uuid: UUID, mode: str = Query("live")) -> Any:
    """Where it could move, and what speaks against each other host."""
    found = find(request, uuid, "vms.migrate")
    return [
        {
            "host_id": one.host.pk,
            "name": one.host.name,
            "is_possible": one.is_possible,
            "blockers": [str(text) for text in one.blockers],
            "warnings": [str(text) for text in one.warnings],
            "no_tls": str(one.no_tls),
        }
        for one in destinations(found, mode)
    ]


@router.post("/{uuid}/migrate", response=STARTED)
def migrate_vm(request: PersonRequest, uuid: UUID, how: MigrateIn) -> Any:
    """Move it to another host."""
    return Status(202, enqueue(MigrateVm(find(request, uuid), how.dict()), user=request.user))


@router.post("/{uuid}/actions/{action}", response=STARTED)
def act_on_vm(request: PersonRequest, uuid: UUID, action: str, how: ActionIn | None = None) -> Any:
    """start, shutdown, reboot, force-off, reset, pause, resume, resume-move, autostart-on, autostart-off, forget,
    rebuild.
    """
    vm = find(request, uuid)
    if action not in ACTIONS:
        raise Http404
    name, params = ACTIONS[action]
    given = how.dict(exclude_none=True) if how else {}
    if unknown := sorted(set(given) - {TAKES.get(action)}):
        raise Invalid({field: [_("This action does not take it.")] for field in unknown})
    word = {"force": True} if "silent_hosts" in given else {}
    if word:
        require(request, "hosts.view")
    return Status(202, enqueue(by_name(name)(vm, {**params, **given, **word}), user=request.user))


@router.delete("/{uuid}", response=STARTED)
def delete_vm(request: PersonRequest, uuid: UUID, what: DeleteIn) -> Any:
    """Remove its definition, and the disks that are named."""
    operation = by_name("vms.delete")(find(request, uuid), what.dict())
    return Status(202, enqueue(operation, user=request.user))
