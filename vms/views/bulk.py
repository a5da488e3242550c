"""The selection bar of the list: one job for all chosen VMs."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from access.rules import PersonRequest, everywhere, permission_required, visible
from jobs.engine import enqueue
from jobs.operations import by_name
from ui.htmx import job_response, note_response, render_dialog
from vms.forms import BulkDeleteForm, BulkGroupForm, BulkTagForm
from vms.models import Vm
from vms.operations.bulk import BULK, MAX_VMS, BulkVms
from vms.operations.change import EditVm

GROUP = EditVm.name  # whose they are: the only thing of it that is changed for many
AT_ONCE = {"vms.start", "vms.shutdown"}  # no question asked first
DANGEROUS = {"vms.delete", "vms.force-off", "vms.forget"}


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def bulk(request: PersonRequest, verb: str) -> HttpResponse:
    """GET: the dialog that asks first; POST: the job. ids: the chosen VMs."""
    name = GROUP if verb == "group" else f"vms.{verb}"
    if name not in (*BULK, GROUP) or (name == GROUP) != (verb == "group"):
        raise Http404
    if name == GROUP and not everywhere(request.user, "vms.change"):  # whose it is decides who may do what with it
        raise PermissionDenied
    vms = chosen(request, (request.POST if request.method == "POST" else request.GET).getlist("ids"))
    kind = by_name(name)
    refused = [(vm, reason) for vm in vms if (reason := kind.refusal(request.user, vm))]
    left = len(vms) - len(refused)
    form = form_for(name, request, left)
    is_sure = request.method == "POST" and (name in AT_ONCE or "sure" in request.POST)
    if not vms or (is_sure and not left):
        reason = refused[0][1] if refused else _("Choose the VMs first.")
        return note_response(request, reason, reverse("vms:index"))
    if is_sure and (form is None or form.is_valid()):
        params = {"verb": name, "vms": [str(vm.uuid) for vm in vms], "params": params_of(name, form)}
        return job_response(request, enqueue(BulkVms(None, params), user=request.user))
    no = {vm.pk for vm, _reason in refused}
    context = {
        "verb": verb,
        "label": _("Set the group of") if name == GROUP else kind.verb,
        "form": form,
        "vms": vms,
        "refused": refused,
        "possible": [vm for vm in vms if vm.pk not in no],
        "is_danger": name in DANGEROUS,
    }
    return render_dialog(request, "vms/_bulk_dialog.html", context, status=422 if is_sure else 200)


def chosen(request: PersonRequest, ids: list[str]) -> list[Vm]:
    """The VMs of these UUIDs that this person sees; what is no UUID is left out."""
    uuids = []
    for text in ids[:MAX_VMS]:
        try:
            uuids.append(UUID(text))
        except ValueError:
            continue
    rows = Vm.objects.filter(uuid__in=uuids).select_related("host", "job")
    return list(visible(request.user, rows.defer("definition", "live_definition", "hardware")))


def form_for(name: str, request: PersonRequest, number: int) -> forms.Form | None:
    data = request.POST if request.method == "POST" and "sure" in request.POST else None
    if name == "vms.tag":
        return BulkTagForm(data)
    if name == GROUP:
        return BulkGroupForm(data)
    return BulkDeleteForm(data, number=number) if name == "vms.delete" else None


def params_of(name: str, form: forms.Form | None) -> dict[str, Any]:
    if form is None:
        return {}
    if name == "vms.delete":
        return {"disks": "own" if form.cleaned_data["own_disks"] else []}
    if name == GROUP:
        return {"group": getattr(form.cleaned_data["group"], "pk", None)}
    return dict(form.cleaned_data)
