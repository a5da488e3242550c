"""Hosts: list, one, add, maintenance, evacuate."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from access.rules import PersonRequest, visible
from api.rights import require
from api.schemas import HostOut, JobOut, OnIn, Problem
from hosts.models import Host
from jobs.engine import enqueue
from jobs.operations import by_name

router = Router(tags=["hosts"])
STARTED = {202: JobOut, 403: Problem, 404: Problem, 409: Problem}


def find(request: PersonRequest, host_id: int) -> Host:
    require(request, "hosts.view")
    return get_object_or_404(visible(request.user, Host.objects.all()), pk=host_id)


@router.get("/", response=list[HostOut])
def list_hosts(request: PersonRequest) -> QuerySet[Host]:
    """All hosts of the cluster."""
    require(request, "hosts.view")
    return visible(request.user, Host.objects.filter(is_managed=True))


@router.get("/{host_id}", response={200: HostOut, 404: Problem})
def get_host(request: PersonRequest, host_id: int) -> Any:
    return find(request, host_id)


@router.post("/{host_id}/maintenance", response=STARTED)
def set_maintenance(request: PersonRequest, host_id: int, wish: OnIn) -> Any:
    """Enter or leave maintenance: no new VMs are put there."""
    operation = by_name("hosts.maintenance")(find(request, host_id), {"on": wish.on})
    return Status(202, enqueue(operation, user=request.user))


@router.post("/{host_id}/evacuate", response=STARTED)
def evacuate(request: PersonRequest, host_id: int) -> Any:
    """Enter maintenance and move every VM away live; one job with a child for each."""
    operation = by_name("hosts.evacuate")(find(request, host_id), {"include_off": False})
    return Status(202, enqueue(operation, user=request.user))
