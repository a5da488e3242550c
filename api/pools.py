"""Pools: list, define on hosts, start, stop, remove; their volumes."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from ninja import Query, Router, Status
from ninja.pagination import paginate

from access import rules
from access.rules import PersonRequest, visible
from api.forms import Invalid, cleaned, errors_of
from api.pages import Pieces
from api.rights import require
from api.schemas import HostsIn, JobOut, PoolIn, PoolOut, Problem, SearchIn, VolumeOut
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Refused
from storage.backends import backends
from storage.forms import HostsForm, PoolForm, managed_hosts
from storage.models import Pool, Volume
from storage.operations import pools as operations
from storage.operations.search import SearchServer

router = Router(tags=["pools"])
STARTED = {202: JobOut, 403: Problem, 404: Problem, 409: Problem, 422: Problem}
VERBS: dict[str, tuple[type[operations.PoolOperation], dict[str, Any]]] = {
    "place": (operations.PlacePool, {}),
    "start": (operations.StartPool, {}),
    "stop": (operations.StopPool, {}),
    "refresh": (operations.RefreshPool, {}),
    "autostart-on": (operations.SetPoolAutostart, {"on": True}),
    "autostart-off": (operations.SetPoolAutostart, {"on": False}),
    "remove": (operations.RemovePool, {}),
}


def find(request: PersonRequest, pool_id: int, permission: str = "storage.manage") -> Pool:
    require(request, "storage.view")
    return rules.find(request.user, Pool.objects.prefetch_related("presences"), permission, pk=pool_id)


@router.get("/", response=list[PoolOut])
def list_pools(request: PersonRequest) -> QuerySet[Pool]:
    """All pools with their presence on each host."""
    require(request, "storage.view")
    return visible(request.user, Pool.objects.prefetch_related("presences"))


@router.post("/", response={202: JobOut, 403: Problem, 409: Problem, 422: Problem})
def define_pool(request: PersonRequest, wish: PoolIn) -> Any:
    """Define a pool and make it present on hosts: one job with a part for each host."""
    require(request, "storage.manage", on_all=True)
    if wish.kind not in backends():
        raise Invalid({"kind": [f"One of: {', '.join(backends())}."]})
    form = PoolForm({**wish.source, **wish.dict(exclude={"source"})}, kind=wish.kind)
    if not form.is_valid():
        raise Invalid({**errors_of(form), **errors_of(form.source_form, "source.")})
    try:
        job = operations.begin_pool(request.user, form.values(), list(form.cleaned_data["hosts"]))
    except Refused as refused:
        if refused.field in form.source_form.fields:
            refused.field = f"source.{refused.field}"
        raise
    return Status(202, job)


@router.post("/search", response={202: JobOut, 403: Problem, 409: Problem, 422: Problem})
def search_server(request: PersonRequest, wish: SearchIn) -> Any:
    """What a storage server offers; `offered` of the job's result when it has ended."""
    require(request, "storage.manage", on_all=True)
    return Status(202, enqueue(SearchServer(None, wish.dict()), user=request.user))


@router.get("/{pool_id}", response={200: PoolOut, 403: Problem, 404: Problem})
def get_pool(request: PersonRequest, pool_id: int) -> Any:
    """One pool with its presence on each host."""
    return find(request, pool_id, "storage.view")


@router.get("/{pool_id}/volumes", response=list[VolumeOut])
@paginate(Pieces)
def list_volumes(request: PersonRequest, pool_id: int, name: str = Query("")) -> QuerySet[Volume]:
    """What lies in a pool; `name` is a part of it. A volume's number is what an image is made of."""
    found = find(request, pool_id, "storage.view")
    volumes = visible(request.user, Volume.objects.filter(pool=found)).order_by("name", "pk")
    return volumes.filter(name__icontains=name) if name else volumes


@router.post("/{pool_id}/actions/{verb}", response=STARTED)
def act_on_pool(request: PersonRequest, pool_id: int, verb: str, wish: HostsIn) -> Any:
    """place (define on more hosts, or try again), start, stop, refresh, autostart-on, autostart-off, remove."""
    found = find(request, pool_id)
    if verb not in VERBS:
        raise Http404
    there = managed_hosts() if verb == "place" else Host.objects.filter(pools__pool=found)
    hosts = cleaned(HostsForm(wish.dict(), hosts=there))["hosts"]
    kind, params = VERBS[verb]
    operation = kind(found, {**params, "hosts": [host.pk for host in hosts]})
    return Status(202, enqueue(operation, user=request.user))


@router.delete("/{pool_id}", response=STARTED)
def delete_pool(request: PersonRequest, pool_id: int) -> Any:
    """Remove a pool from all its hosts and from Drover. What lies in it stays where it is."""
    operation = operations.RemovePool(find(request, pool_id), {"forget": True})
    return Status(202, enqueue(operation, user=request.user))
