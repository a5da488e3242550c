"""The snapshots of one VM: their page, and the dialogs to take one, go back to it, delete it."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods

from access.rules import PersonRequest, permission_required
from ui.forms import posted
from ui.htmx import is_partial
from vms.forms import SnapshotForm
from vms.models import Snapshot, Vm
from vms.operations.snapshots import DeleteSnapshot, RevertSnapshot, TakeSnapshot
from vms.snapshots import why_none
from vms.views.actions import dialog
from vms.views.find import find_vm, is_gone
from vms.views.pages import frame


@require_GET
@permission_required("vms.view")
def index(request: PersonRequest, uuid: UUID) -> HttpResponse:
    if is_gone(request, uuid):
        return HttpResponse(status=204)
    vm = find_vm(request, uuid)
    rows = vm.snapshots.select_related("made_by").order_by("-taken_at", "-pk")
    context = {**frame(request, vm, "snapshots"), "snapshots": rows, "why_none": why_none(vm)}
    return render(request, "vms/_snapshots.html" if is_partial(request) else "vms/snapshots.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def take(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.snapshot")
    form = SnapshotForm(posted(request), initial={"name": free_name(vm)})
    return dialog(request, vm, TakeSnapshot, form, "vms/_snapshot_dialog.html", lambda form: dict(form.cleaned_data))


def free_name(vm: Vm) -> str:
    """ "snapshot-3", the first that is free."""
    taken = set(vm.snapshots.values_list("name", flat=True))
    return next(name for n in range(1, len(taken) + 2) if (name := f"snapshot-{n}") not in taken)


def _one(request: PersonRequest, uuid: UUID, pk: int) -> tuple[Vm, Snapshot]:
    vm = find_vm(request, uuid, "vms.snapshot")
    return vm, get_object_or_404(vm.snapshots, pk=pk)


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def revert(request: PersonRequest, uuid: UUID, pk: int) -> HttpResponse:
    vm, snapshot = _one(request, uuid, pk)
    return _sure(request, vm, RevertSnapshot, snapshot, "vms/_revert_dialog.html")


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def delete(request: PersonRequest, uuid: UUID, pk: int) -> HttpResponse:
    vm, snapshot = _one(request, uuid, pk)
    return _sure(request, vm, DeleteSnapshot, snapshot, "vms/_delete_snapshot_dialog.html")


def _sure(request: PersonRequest, vm: Vm, kind: Any, snapshot: Snapshot, template: str) -> HttpResponse:
    """Nothing to fill in: only whether it is meant."""
    params = {"name": snapshot.name}
    return dialog(request, vm, kind, forms.Form(posted(request)), template, lambda form: params, snapshot=snapshot)
