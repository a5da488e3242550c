"""The VMs of a group, for its page; and VMs from one person to another."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.models import Group, User
from access.rules import PersonRequest, everywhere, find, permission_required, visible
from jobs.engine import enqueue
from jobs.errors import Refused
from ui.forms import add_refusal, posted
from ui.htmx import job_response, note_response, render_dialog
from vms.forms import HandOverForm, IntoGroupForm
from vms.listing import shown_rows
from vms.models import Vm
from vms.operations.bulk import MAX_VMS, BulkVms
from vms.operations.change import EditVm
from vms.views.find import find_vm
from vms.views.lists import with_actions

IN_GROUP = 50


def _group(request: PersonRequest, pk: int, *, to_change: bool = False) -> Group:
    group = find(request.user, Group.objects.all(), pk=pk)
    if to_change and not everywhere(request.user, "vms.change"):
        raise PermissionDenied
    return group


@require_GET
@permission_required("groups.view")
def in_group(request: PersonRequest, pk: int) -> HttpResponse:
    group = _group(request, pk)
    rows = visible(request.user, Vm.objects.filter(group=group)).order_by("name", "pk")
    page = Paginator(rows, IN_GROUP).get_page(request.GET.get("page"))
    context = {
        "group": group,
        "page": page,
        "rows": with_actions(request, shown_rows(page.object_list)),
        "can_fill": everywhere(request.user, "vms.change"),
    }
    return render(request, "vms/_in_group.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("groups.view")
def into_group(request: PersonRequest, pk: int) -> HttpResponse:
    """VMs by name into a group: one job with a part for each."""
    group = _group(request, pk, to_change=True)
    form = IntoGroupForm(posted(request), user=request.user)
    context = {"form": form, "group": group}
    if form.is_bound and form.is_valid():
        return _edit_all(
            request, form, form.cleaned_data["vms"], {"group": group.pk}, "vms/_group_dialog.html", context
        )
    return render_dialog(request, "vms/_group_dialog.html", context, status=422 if form.is_bound else 200)


def _edit_all(
    request: PersonRequest, form: Any, vms: list[Vm], params: dict[str, Any], template: str, context: dict[str, Any]
) -> HttpResponse:
    operation = BulkVms(None, {"verb": EditVm.name, "vms": [str(vm.uuid) for vm in vms], "params": params})
    try:
        return job_response(request, enqueue(operation, user=request.user))
    except Refused as refused:
        add_refusal(form, refused)
        return render_dialog(request, template, context, status=422)


@require_POST
@permission_required("groups.view")
def out_of_group(request: PersonRequest, pk: int, uuid: UUID) -> HttpResponse:
    group = _group(request, pk, to_change=True)
    vm = find_vm(request, uuid, "vms.change")
    try:
        return job_response(request, enqueue(EditVm(vm, {"group": None}), user=request.user))
    except Refused as refused:
        return note_response(request, refused.message, group.get_absolute_url())


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def hand_over(request: PersonRequest, pk: int) -> HttpResponse:
    """All VMs of a person to another one."""
    person = get_object_or_404(User, pk=pk)
    vms = list(Vm.objects.filter(owner=person).order_by("name").only("uuid", "name")[:MAX_VMS])
    form = HandOverForm(posted(request), person=person)
    url = reverse("vms:hand_over", args=[pk])
    context = {"form": form, "person": person, "vms": vms, "url": url}
    if form.is_bound and form.is_valid():
        to = {"owner": form.cleaned_data["to"].pk}
        return _edit_all(request, form, vms, to, "vms/_hand_over_dialog.html", context)
    return render_dialog(request, "vms/_hand_over_dialog.html", context, status=422 if form.is_bound else 200)
