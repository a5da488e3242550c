"""Snapshots of a VM: list, take, go back, delete. As on its page."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from pydantic import Field

from access import rules
from access.rules import PersonRequest
from api.rights import require
from api.schemas import In, JobOut, Key, Problem
from jobs.engine import enqueue
from vms.models import Snapshot, Vm
from vms.operations.snapshots import DeleteSnapshot, RevertSnapshot, TakeSnapshot

router = Router(tags=["vms"])
STARTED = {202: JobOut, 403: Problem, 404: Problem, 409: Problem, 422: Problem}


class SnapshotOut(Schema):
    """has_memory: it was taken while the VM ran, which runs on from there afterwards."""

    id: int
    name: str
    description: str
    taken_at: datetime
    has_memory: bool
    is_current: bool
    parent: str
    made_by: str | None = None

    @staticmethod
    def resolve_made_by(snapshot: Any) -> str | None:
        return snapshot.made_by.username if snapshot.made_by else None


class SnapshotIn(In):
    name: Annotated[str, Field(max_length=60)]
    description: Annotated[str, Field(max_length=500)] = ""


def find(request: PersonRequest, uuid: UUID, permission: str = "") -> Vm:
    rows = Vm.objects.select_related("host", "job").defer("definition", "live_definition")
    return rules.find(request.user, rows, permission, uuid=uuid)


@router.get("/{uuid}/snapshots", response={200: list[SnapshotOut], 404: Problem})
def list_snapshots(request: PersonRequest, uuid: UUID) -> QuerySet[Snapshot]:
    """Oldest first."""
    require(request, "vms.view")
    return find(request, uuid).snapshots.select_related("made_by")


@router.post("/{uuid}/snapshots", response=STARTED)
def take_snapshot(request: PersonRequest, uuid: UUID, wish: SnapshotIn) -> Any:
    """Of a running VM with its memory."""
    vm = find(request, uuid, "vms.snapshot")
    return Status(202, enqueue(TakeSnapshot(vm, wish.dict()), user=request.user))


def _one(request: PersonRequest, uuid: UUID, pk: int) -> tuple[Vm, dict[str, Any]]:
    vm = find(request, uuid, "vms.snapshot")
    return vm, {"name": get_object_or_404(vm.snapshots, pk=pk).name}


@router.post("/{uuid}/snapshots/{snapshot_id}/revert", response=STARTED)
def revert_snapshot(request: PersonRequest, uuid: UUID, snapshot_id: Key) -> Any:
    """Go back to it: what was written since is lost."""
    return Status(202, enqueue(RevertSnapshot(*_one(request, uuid, snapshot_id)), user=request.user))


@router.delete("/{uuid}/snapshots/{snapshot_id}", response=STARTED)
def delete_snapshot(request: PersonRequest, uuid: UUID, snapshot_id: Key) -> Any:
    """Only it: those that were taken after it stay."""
    return Status(202, enqueue(DeleteSnapshot(*_one(request, uuid, snapshot_id)), user=request.user))
