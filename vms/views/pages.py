"""The page of one VM: summary, hardware, definition, jobs, and the figures of the last hour."""

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from access.groups import grants_on
from access.rules import PersonRequest, can, permission_required, visible
from hosts import metrics
from jobs.discretion import tidy
from jobs.models import Job
from ui.forms import number_in
from ui.htmx import is_partial, render_dialog
from vms import screens
from vms.actions import main_action, menu
from vms.disks import disks_of
from vms.login import ssh_command
from vms.migration_views import story
from vms.models import Vm
from vms.sizes import pending
from vms.troubles import troubles
from vms.views.find import find_vm, gone, is_gone
from vms.xml_view import difference, lines_of

CONSOLES_SHOWN = 20
JOBS_PER_PAGE = 25
VERSIONS = 30
NOT_KNOWN = {"capacity_bytes": None, "allocation_bytes": None}


def frame(request: PersonRequest, vm: Vm, tab: str) -> dict[str, Any]:
    """What the frame of every tab needs."""
    return {
        "vm": vm,
        "tab": tab,
        "main": main_action(request.user, vm),
        "menu": menu(request.user, vm),
        "may_migrate": can(request.user, "vms.migrate", vm),
        "may_console": can(request.user, "vms.console", vm),
        "may_snapshot": can(request.user, "vms.snapshot", vm),
        "may_share": can(request.user, "vms.share", vm),
        "ssh": ssh_command(vm) if tab == "summary" else "",
        "sees_hosts": can(request.user, "hosts.view"),
        "sees_storage": can(request.user, "storage.view"),
    }


@require_GET
@permission_required("vms.view")
def detail(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid)
    migration = vm.job if vm.job and vm.job.operation == "vms.migrate" else None
    context = {
        **frame(request, vm, "summary"),
        "troubles": troubles(vm, request.user),
        "migration": migration,
        "picture": picture(vm) if can(request.user, "vms.console", vm) else None,
        **story(migration),
        **grants_on(request.user, vm),
    }
    return render(request, "vms/detail.html", context)


@require_GET
@permission_required("vms.view")
def head(request: PersonRequest, uuid: UUID) -> HttpResponse:
    if is_gone(request, uuid):
        return gone(request, uuid)
    vm = find_vm(request, uuid)
    return render(request, "vms/_head.html", frame(request, vm, request.GET.get("tab", "summary")))


@require_GET
@permission_required("vms.view")
def facts(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """What the summary tells besides charts: troubles and facts."""
    if is_gone(request, uuid):
        return HttpResponse(status=204)  # the head says it
    vm = find_vm(request, uuid)
    context = {**frame(request, vm, "summary"), "troubles": troubles(vm, request.user)}
    return render(request, "vms/_facts.html", context)


@require_GET
@permission_required("vms.view")
def thumbnail(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """What its screen showed some seconds ago, and the way to it."""
    if is_gone(request, uuid):
        return HttpResponse(status=204)
    vm = find_vm(request, uuid)
    may_console = can(request.user, "vms.console", vm)
    context = {"vm": vm, "may_console": may_console, "picture": picture(vm) if may_console else None}
    return render(request, "vms/_thumbnail.html", context)


def picture(vm: Vm) -> screens.Picture | None:
    return screens.last(vm.uuid) if vm.is_alive else None


@require_GET
@permission_required("vms.view")
def screen(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """The last picture that `watch` took of its screen, as PNG."""
    last = screens.last(find_vm(request, uuid, "vms.console").uuid, with_png=True)
    if last is None:
        return HttpResponse(status=204)
    return HttpResponse(last.png, content_type="image/png", headers={"Cache-Control": "private, no-store"})


@require_GET
@permission_required("vms.view")
def hardware(request: PersonRequest, uuid: UUID) -> HttpResponse:
    if is_gone(request, uuid):
        return HttpResponse(status=204)
    vm = find_vm(request, uuid, with_xml=True)
    volumes = {disk.path: disk for disk in disks_of(vm)}
    disks = [
        {**NOT_KNOWN, **disk, "volume": volumes[disk["path"]].volume if disk.get("path") in volumes else None}
        for disk in vm.disks
    ]
    context = {
        **frame(request, vm, "hardware"),
        "disks": disks,
        "pending": pending(vm),
        "may_change": can(request.user, "vms.change", vm),
    }
    return render(request, "vms/_hardware.html" if is_partial(request) else "vms/hardware.html", context)


@require_GET
@permission_required("hosts.view")
def definition(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """The XML as it is kept, or (?live=1) as it runs; or what a version (?version=) changed."""
    vm = find_vm(request, uuid, with_xml=True)
    versions = list(vm.definitions.defer("xml")[:VERSIONS])
    asked = number_in(request.GET.get("version", ""))
    chosen = vm.definitions.filter(pk=asked).first() if asked else None
    is_live = "live" in request.GET and bool(vm.live_definition)
    context: dict[str, Any] = {**frame(request, vm, "definition"), "versions": versions, "chosen": chosen}
    if chosen is not None:
        before = vm.definitions.filter(pk__lt=chosen.pk).first()
        context["diff"] = difference(before.xml if before else "", chosen.xml)
        context["before"] = before
    xml = vm.live_definition if is_live else vm.definition or vm.live_definition
    context |= {"is_live": is_live, "lines": lines_of(xml), "xml": xml}
    return render(request, "vms/definition.html", context)


@require_GET
@permission_required("vms.view")
def jobs(request: PersonRequest, uuid: UUID) -> HttpResponse:
    if is_gone(request, uuid):
        return HttpResponse(status=204)
    vm = find_vm(request, uuid)
    rows = Job.objects.filter(target_kind="vm", target_key=str(vm.uuid)).select_related("user")
    page = Paginator(visible(request.user, rows), JOBS_PER_PAGE).get_page(request.GET.get("page"))
    tidy(request.user, page)
    sessions = visible(request.user, vm.console_sessions.exclude(used_at=None).select_related("user"))
    context = {**frame(request, vm, "jobs"), "page": page, "sessions": sessions[:CONSOLES_SHOWN]}
    return render(request, "vms/_jobs.html" if is_partial(request) else "vms/jobs.html", context)


@require_GET
@permission_required("vms.view")
def charts(request: PersonRequest, uuid: UUID) -> JsonResponse:
    """The figures of the last hour, from Drover's own files."""
    vm = find_vm(request, uuid)
    return JsonResponse(metrics.history("vm", str(vm.uuid)))


@require_GET
@permission_required("vms.view")
def actions_menu(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """All actions of one VM in a dialog, for a row of the list and for phones."""
    vm = find_vm(request, uuid)
    return render_dialog(request, "vms/_menu_dialog.html", frame(request, vm, ""))
