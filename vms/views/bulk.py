"""The selection bar of the list: one job for all chosen VMs."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from access.rules import PersonRequest, permission_required, visible
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.operations import by_name
from ui.forms import add_refusal
from ui.htmx import job_response, note_response, render_dialog
from vms.forms import BulkDeleteForm, BulkTagForm
from vms.models import Vm
from vms.operations.bulk import BULK, MAX_VMS, BulkVms

AT_ONCE = {"vms.start", "vms.shutdown"}  # no question asked first


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def bulk(request: PersonRequest, verb: str) -> HttpResponse:
    """GET: the dialog that asks first; POST: the job. ids: the chosen VMs."""
    name = f"vms.{verb}"
    if name not in BULK:
        raise Http404
    asked = request.POST if request.method == "POST" else request.GET
    vms = chosen(request, asked.getlist("ids"))
    if not vms:
        return note_response(request, _("Choose the VMs first."), reverse("vms:index"))
    kind, form = by_name(name), form_for(name, request, len(vms))
    is_sure = request.method == "POST" and (name in AT_ONCE or "sure" in request.POST)
    status = 422 if request.method == "POST" and "sure" in request.POST else 200
    if is_sure and (form is None or form.is_valid()):
        params = {"verb": name, "vms": [str(vm.uuid) for vm in vms], "params": params_of(name, form)}
        try:
            return job_response(request, enqueue(BulkVms(None, params), user=request.user))
        except Refused as refused:
            if form is None:
                return note_response(request, refused.message, reverse("vms:index"))
            add_refusal(form, refused)
    reasons = [(vm, kind.refusal(request.user, vm)) for vm in vms]
    context = {
        "verb": verb,
        "label": kind.verb,
        "form": form,
        "vms": vms,
        "refused": [(vm, reason) for vm, reason in reasons if reason],
        "possible": [vm for vm, reason in reasons if not reason],
        "is_danger": name in {"vms.delete", "vms.force-off", "vms.forget"},
    }
    return render_dialog(request, "vms/_bulk_dialog.html", context, status=status)


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
    return BulkDeleteForm(data, number=number) if name == "vms.delete" else None


def params_of(name: str, form: forms.Form | None) -> dict[str, Any]:
    if form is None:
        return {}
    if name == "vms.delete":
        return {"disks": "own" if form.cleaned_data["own_disks"] else []}
    return dict(form.cleaned_data)
