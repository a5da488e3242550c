"""The migration dialog and the story of a running migration."""

import uuid as uuid_module
from collections import Counter
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from access.rules import PersonRequest, find, permission_required, visible
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from ui.forms import add_refusal, number_in
from ui.htmx import is_partial, job_response, render_dialog
from vms.destinations import COPY, LIVE, OFFLINE, Destination, destinations, unshared_disks
from vms.migration import MigrateVm
from vms.migration_form import MigrateForm
from vms.models import Vm
from vms.views.find import is_gone

SHOWN = 8  # hosts on a page of the dialog
REASONS = 4


def find_vm(request: PersonRequest, uuid: uuid_module.UUID, permission: str = "") -> Vm:
    return find(request.user, Vm.objects.select_related("host", "job"), permission, uuid=uuid)


def modes_for(vm: Vm) -> list[str]:
    """The ways this VM can move, the usual one first."""
    if not vm.is_alive:
        return [OFFLINE]
    return [COPY, LIVE] if unshared_disks(vm) else [LIVE, COPY]


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def migrate(request: PersonRequest, uuid: uuid_module.UUID) -> HttpResponse:
    vm = find_vm(request, uuid, "vms.migrate")
    modes = modes_for(vm)
    asked = request.POST if request.method == "POST" else request.GET
    mode = asked.get("mode") if asked.get("mode") in modes else modes[0]
    found = destinations(vm, str(mode))
    form = MigrateForm(request.POST or None, initial=initial(request, str(mode)), destinations=found, modes=modes)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                return job_response(request, enqueue(MigrateVm(vm, form.params()), user=request.user))
            except Refused as refused:
                add_refusal(form, refused)
    context: dict[str, Any] = {"vm": vm, "form": form, "mode": mode, **places(request, found, form["host"].value())}
    if is_partial(request) and request.htmx.target == "destinations":  # type: ignore[attr-defined]
        return render(request, "vms/_destinations.html", context)
    context["refusal"] = MigrateVm.refusal(request.user, vm)
    return render_dialog(request, "vms/_migrate_dialog.html", context, status=status)


def places(request: PersonRequest, found: list[Destination], chosen: Any) -> dict[str, Any]:
    """The destinations as the dialog lists them: a page of those that can take it and one of those that can't."""
    words = request.GET.get("q", "").strip()[:100]
    possible = [one for one in found if one.is_possible]
    impossible = [one for one in found if not one.is_possible]
    can, can_not = (
        Paginator([one for one in some if words.lower() in one.host.name.lower()], SHOWN).get_page(request.GET.get(key))
        for some, key in ((possible, "page"), (impossible, "off"))
    )
    picked = next((one for one in possible if str(one.host.pk) == chosen), None)
    address = request.GET.copy()
    address.pop("host", None)  # what is chosen is sent along with each click
    return {
        "chosen": chosen,
        "best": possible[0] if possible else None,
        "possible": can,
        "picked": picked if picked not in list(can) else None,
        "impossible": can_not,
        "impossible_number": len(impossible),
        "reasons": Counter(one.blockers[0] for one in impossible).most_common(REASONS),
        "is_long": len(found) > SHOWN,
        "query": words,
        "address": address,
    }


def initial(request: PersonRequest, mode: str) -> dict[str, Any]:
    wanted = {key: request.GET[key] for key in ("host", "bandwidth_mib", "timeout_s") if request.GET.get(key)}
    return {"host": "best", "mode": mode, "auto_converge": True, "transport": "plain", "on_timeout": "abort", **wanted}


@require_GET
@permission_required("vms.view")
def migration(request: PersonRequest, uuid: uuid_module.UUID) -> HttpResponse:
    """The card of the running migration, or of the last one if it ended within this page's life; else empty."""
    if is_gone(request, uuid):
        return HttpResponse(status=204)
    vm = find_vm(request, uuid)
    job = vm.job if vm.job and vm.job.operation == MigrateVm.name else None
    asked = number_in(request.GET.get("job", ""))
    if job is None and asked:
        mine = Job.objects.filter(operation=MigrateVm.name, target_key=str(vm.uuid), pk=asked)
        job = visible(request.user, mine).first()
    return render(request, "vms/_migration.html", {"vm": vm, "migration": job, **story(job)})


def story(job: Job | None) -> dict[str, Any]:
    """From where to where, and the figures of a migration job, for its card."""
    if job is None:
        return {}
    _verb, _arrow, destination = job.title.rpartition(" → ")
    return {"source": job.result.get("source_name", ""), "destination": destination, "detail": job.detail}


@require_GET
@permission_required("vms.view")
def migration_series(request: PersonRequest, uuid: uuid_module.UUID, pk: int) -> JsonResponse:
    """The samples of a migration kept so far, for its curve."""
    vm = find_vm(request, uuid)
    mine = Job.objects.filter(operation=MigrateVm.name, target_key=str(vm.uuid))
    job = find(request.user, mine, pk=pk)
    return JsonResponse({"series": job.series, "active": job.is_active})
