"""What a person does to one VM: buttons (POST) and dialogs (GET shows, POST does)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from access.rules import PersonRequest, can, permission_required
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.operations import Operation, by_name
from ui.forms import add_refusal, number_in
from ui.htmx import job_response, note_response, render_dialog
from vms.actions import POSTS
from vms.disks import disks_of, find_disk, seed_paths
from vms.forms import DeleteForm, DiskForm, EditForm, RenameForm, ResizeForm, StartAnywayForm, TypedForm
from vms.models import Vm
from vms.operations.change import EditVm, RenameVm, ResizeDisk, ResizeVm
from vms.operations.delete import DeleteVm, ForgetVm
from vms.operations.law4 import silent_hosts
from vms.operations.power import StartVm
from vms.operations.rebuild import RebuildVm
from vms.views.find import find_vm

Params = Callable[[Any], dict[str, Any]]
CONFIRMED = {"force-off", "reset"}


@require_POST
@permission_required("vms.view")
def act(request: PersonRequest, uuid: UUID, verb: str) -> HttpResponse:
    """One button. Who may press it is the operation's business."""
    if verb not in POSTS:
        raise Http404
    vm = find_vm(request, uuid)
    name, params = POSTS[verb]
    if verb == "force-off" and (on := number_in(request.POST.get("host", ""))):
        params = {**params, "host": on}
    try:
        return job_response(request, enqueue(by_name(name)(vm, dict(params)), user=request.user))
    except Refused as refused:
        return note_response(request, refused.message, vm.get_absolute_url())


@require_http_methods(["GET"])
@permission_required("vms.view")
def confirm(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """The question before something a guest may not like."""
    vm, verb = find_vm(request, uuid, "vms.power"), request.GET.get("verb", "")
    if verb not in CONFIRMED:
        raise Http404
    pk = number_in(request.GET.get("host", ""))
    host = get_object_or_404(Host, pk=pk) if pk and can(request.user, "hosts.view") else None
    kind = by_name(POSTS[verb][0])
    context = {"vm": vm, "verb": verb, "host": host, "label": kind.verb, "refusal": kind.refusal(request.user, vm)}
    return render_dialog(request, "vms/_confirm_dialog.html", context)


def dialog(
    request: PersonRequest,
    vm: Vm,
    kind: type[Operation],
    form: forms.Form,
    template: str,
    params: Params,
    **context: Any,
) -> HttpResponse:
    """GET: the form; POST: a job, or the form again with what is wrong beside its fields."""
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                return job_response(request, enqueue(kind(vm, params(form)), user=request.user))
            except Refused as refused:
                add_refusal(form, refused)
    shown = {"vm": vm, "form": form, "url": request.path, "refusal": kind.refusal(request.user, vm), **context}
    return render_dialog(request, template, shown, status=status)


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def rename(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.edit")
    form = RenameForm(request.POST or None, vm=vm, initial={"name": vm.name})
    return dialog(request, vm, RenameVm, form, "vms/_rename_dialog.html", lambda form: dict(form.cleaned_data))


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def edit(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.edit")
    form = EditForm(request.POST or None, vm=vm, user=request.user)
    return dialog(request, vm, EditVm, form, "vms/_edit_dialog.html", lambda form: form.params())


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def resize(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.change", with_xml=True)
    form = ResizeForm(request.POST or None, vm=vm)
    most = {"vcpus": vm.hardware.get("max_vcpus"), "memory": vm.hardware.get("max_memory_bytes")}
    return dialog(request, vm, ResizeVm, form, "vms/_resize_dialog.html", lambda form: form.params(), most=most)


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def disk(request: PersonRequest, uuid: UUID, target: str) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.change")
    found = find_disk(vm, target)
    if found is None:
        raise Http404
    form = DiskForm(request.POST or None, now_bytes=int(found.get("capacity_bytes") or 0))

    def params(form: Any) -> dict[str, Any]:
        return {"target": target, "size_bytes": form.cleaned_data["size_bytes"]}

    return dialog(request, vm, ResizeDisk, form, "vms/_disk_dialog.html", params, disk=found)


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def delete(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.delete")
    disks, sees_storage = disks_of(vm, request.user), can(request.user, "storage.view")
    form = DeleteForm(request.POST or None, vm=vm, disks=disks, sees_storage=sees_storage)
    more: dict[str, Any] = {"sees_storage": sees_storage, "seeds": seed_paths(vm)}
    more["kept"] = [one for one in disks if not one.is_removable]
    return dialog(request, vm, DeleteVm, form, "vms/_delete_dialog.html", lambda form: {"disks": form.paths()}, **more)


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def rebuild(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.rebuild")
    form = TypedForm(request.POST or None, vm=vm)
    snapshots = vm.snapshots.count()
    others = [disk for disk in vm.disks if disk.get("device", "disk") == "disk"][1:]
    more = {"snapshots": snapshots, "others": others}
    return dialog(request, vm, RebuildVm, form, "vms/_rebuild_dialog.html", lambda form: {}, **more)


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def forget(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.delete")
    form = TypedForm(request.POST or None, vm=vm)
    return dialog(request, vm, ForgetVm, form, "vms/_forget_dialog.html", lambda form: {})


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def start_anyway(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """Law 4's explicit word: every host that can't be asked is named and confirmed."""
    vm = find_vm(request, uuid, "vms.power")
    if not can(request.user, "hosts.view"):  # nobody gives their word for what they can't look at
        raise PermissionDenied
    silent = silent_hosts(vm)
    form = StartAnywayForm(request.POST or None, vm=vm, silent=silent)

    def params(form: Any) -> dict[str, Any]:
        return {"force": True, "silent_hosts": form.cleaned_data["hosts"]}

    if not silent and request.method == "POST":
        return note_response(request, _("All hosts answer now: just start it."), reverse("vms:detail", args=[vm.uuid]))
    return dialog(request, vm, StartVm, form, "vms/_start_anyway_dialog.html", params, silent=silent)
