"""Networks: list, define on hosts, start, stop, autostart, remove."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from access.rules import PersonRequest, visible
from api.forms import cleaned
from api.rights import require
from api.schemas import JobOut, NetworkActionIn, NetworkIn, NetworkOut, Problem
from hosts.models import Network
from hosts.network_form import NetworkForm
from hosts.operations.networks import VERBS, ChangeNetwork, begin_network
from jobs.engine import enqueue

router = Router(tags=["networks"])
STARTED = {202: JobOut, 403: Problem, 404: Problem, 409: Problem, 422: Problem}


def rows(request: PersonRequest) -> QuerySet[Network]:
    require(request, "hosts.view")
    return visible(request.user, Network.objects.prefetch_related("presences"))


@router.get("/", response=list[NetworkOut])
def list_networks(request: PersonRequest) -> QuerySet[Network]:
    """All networks, with each host that has them."""
    return rows(request)


@router.post("/", response={202: JobOut, 403: Problem, 409: Problem, 422: Problem})
def define_network(request: PersonRequest, wish: NetworkIn) -> Any:
    """Define a network on many hosts at once: one job with a part for each host."""
    require(request, "hosts.manage")
    form = NetworkForm(wish.dict())
    data = cleaned(form)
    return Status(202, begin_network(request.user, data["name"], data["mode"], form.spec(), list(data["hosts"])))


@router.get("/{network_id}", response={200: NetworkOut, 403: Problem, 404: Problem})
def get_network(request: PersonRequest, network_id: int) -> Any:
    """One network."""
    return get_object_or_404(rows(request), pk=network_id)


@router.post("/{network_id}/actions/{verb}", response=STARTED)
def act_on_network(request: PersonRequest, network_id: int, verb: str, wish: NetworkActionIn | None = None) -> Any:
    """define (on more hosts), start, stop, autostart-on, autostart-off, remove. Without hosts: all that have it.

    What cuts running VMs off is refused unless `force` says so.
    """
    require(request, "hosts.manage")
    found = get_object_or_404(rows(request), pk=network_id)
    if verb not in VERBS:
        raise Http404
    params = {"verb": verb, **(wish or NetworkActionIn(hosts=[], force=False)).dict()}
    return Status(202, enqueue(ChangeNetwork(found, params), user=request.user))
