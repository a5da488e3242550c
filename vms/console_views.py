"""The console page, and the tickets it asks for."""

import uuid as uuid_module

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from access.addresses import client_address
from access.rules import PersonRequest, can, find, permission_required
from jobs.errors import Refused
from ui.policy import POLICY
from vms import consoles
from vms.actions import row_action
from vms.models import ConsoleKind, Vm

# xterm.js writes its colours into a <style> element; scripts stay as strict as everywhere
SERIAL_STYLE = "style-src 'self' 'unsafe-inline'"


def find_vm(request: PersonRequest, uuid: uuid_module.UUID) -> Vm:
    return find(request.user, Vm.objects.select_related("host", "job"), "vms.console", uuid=uuid)


def kind_of(request: PersonRequest) -> str:
    kind = request.GET.get("kind", "")
    return kind if kind in ConsoleKind.values else ConsoleKind.VNC.value


@require_GET
@permission_required("vms.view")
def console(request: PersonRequest, uuid: uuid_module.UUID) -> HttpResponse:
    vm, kind = find_vm(request, uuid), kind_of(request)
    context = {
        "vm": vm,
        "action": row_action(request.user, vm),
        "sees_hosts": can(request.user, "hosts.view"),
        "kind": kind,
        "has_serial": bool(vm.hardware.get("serials")),
        "ticket_url": f"{reverse('vms:console_ticket', args=[vm.uuid])}?kind={kind}",
    }
    response = render(request, "vms/console.html", context)
    if kind == ConsoleKind.SERIAL:
        response.headers["Content-Security-Policy"] = POLICY.replace("style-src 'self'", SERIAL_STYLE)
    return response


@require_GET
@permission_required("vms.view")
def console_head(request: PersonRequest, uuid: uuid_module.UUID) -> HttpResponse:
    vm = find_vm(request, uuid)
    context = {
        "vm": vm,
        "action": row_action(request.user, vm),
        "sees_hosts": can(request.user, "hosts.view"),
    }
    return render(request, "vms/_console_head.html", context)


@require_POST
@permission_required("vms.view")
def console_ticket(request: PersonRequest, uuid: uuid_module.UUID) -> JsonResponse:
    """A ticket for the console process, valid 30 s and once; 409 with the reason if there is nothing to connect to."""
    vm = find_vm(request, uuid)
    try:
        ticket = consoles.issue(
            vm,
            request.user,
            request.session.session_key or "",
            kind=kind_of(request),
            view_only=False,
            address=client_address(request),
        )
    except Refused as refused:
        return JsonResponse({"error": str(refused.message)}, status=409)
    return JsonResponse({"path": f"/console-socket?ticket={ticket}"})
