"""Consoles: a ticket for the screen or the serial line of a VM."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.utils import timezone
from ninja import Query, Router, Schema, Status

from access import rules
from access.addresses import client_address
from access.rules import PersonRequest
from access.sessions import key_of_token
from api.rights import require
from api.schemas import Problem
from api.scopes import token_of
from vms import consoles
from vms.models import Vm

router = Router(tags=["vms"])


class TicketOut(Schema):
    kind: str
    url: str
    expires_at: datetime


@router.post("/{uuid}/console", response={201: TicketOut, 403: Problem, 404: Problem, 409: Problem})
def open_console(request: PersonRequest, uuid: UUID, kind: Literal["vnc", "serial"] = Query("vnc")) -> Any:
    """A WebSocket's address, good once and for 30 seconds, for whoever sends the same token with it.

    It carries what the screen (RFB, as VNC speaks it) or the serial line says, as binary messages.
    """
    require(request, "vms.view")
    vm = rules.find(request.user, Vm.objects.select_related("host"), "vms.console", uuid=uuid)
    token = token_of(request)
    key = key_of_token(token) if token else request.session.session_key or ""
    until = timezone.now() + consoles.VALID_FOR
    ticket = consoles.issue(vm, request.user, key, kind=kind, view_only=False, address=client_address(request))
    url = request.build_absolute_uri(f"/console-socket?ticket={ticket}")
    return Status(201, {"kind": kind, "url": url.replace("http", "ws", 1), "expires_at": until})
