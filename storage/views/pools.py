"""The matrix of pools and hosts, and the page of one pool."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.groups import grants_on
from access.models import User
from access.rules import PersonRequest, can, everywhere, find, permission_required, visible
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage import filling, matrix, usage
from storage.backends import backends
from storage.forms import HostsForm, PoolForm, managed_hosts
from storage.models import ImageState, Pool, Volume
from storage.operations import pools as operations
from ui.forms import add_refusal
from ui.htmx import is_partial, job_response, note_response, render_dialog
from ui.rows import light

POOLS_PER_PAGE = 25
HOSTS_PER_PAGE = 8
CELLS_PER_PAGE = 10
VOLUMES_PER_PAGE = 12
VERBS: dict[str, tuple[type[operations.PoolPart], dict[str, Any]]] = {
    "place": (operations.PlacePoolPart, {}),
    "start": (operations.StartPoolPart, {}),
    "stop": (operations.StopPoolPart, {}),
    "refresh": (operations.RefreshPoolPart, {}),
    "autostart-on": (operations.SetPoolAutostartPart, {"on": True}),
    "autostart-off": (operations.SetPoolAutostartPart, {"on": False}),
    "remove": (operations.RemovePoolPart, {}),
}


def _columns(user: User) -> QuerySet[Host]:
    """All hosts; for whom only some pools were given, the hosts of these."""
    hosts = Host.objects.filter(is_managed=True)
    if not everywhere(user, "hosts.view"):
        hosts = hosts.filter(pk__in=visible(user, Pool.objects.all()).values("presences__host"))
    return hosts.only("pk", "name", "observed_state", "maintenance", "seen_at")


@require_GET
@permission_required("storage.view")
def index(request: PersonRequest) -> HttpResponse:
    """All pools, and the matrix of pools and hosts."""
    words, host_words = request.GET.get("q", "").strip()[:100], request.GET.get("host", "").strip()[:100]
    pools = visible(request.user, Pool.objects.all())
    if words:
        pools = pools.filter(Q(name__icontains=words) | Q(target_path__icontains=words))
    pools = pools.annotate(image_count=Count("images", filter=Q(images__state=ImageState.READY)))
    page = Paginator(pools.order_by("name"), POOLS_PER_PAGE).get_page(request.GET.get("page"))
    hosts = _columns(request.user)
    hosts = hosts.filter(name__icontains=host_words) if host_words else hosts
    columns = Paginator(hosts.order_by("name"), HOSTS_PER_PAGE).get_page(request.GET.get("columns"))
    context = {
        "page": page,
        "columns": columns,
        "rows": matrix.rows(page.object_list, list(columns.object_list)),
        "query": words,
        "host_query": host_words,
        "full": filling.FULL_PERCENT,
        "very_full": filling.VERY_FULL_PERCENT,
    }
    if is_partial(request) and "whole" not in request.GET:
        return render(request, "storage/_matrix.html", context)
    context |= {
        "can_manage": everywhere(request.user, "storage.manage"),
        "any_host": managed_hosts().exists(),
        "any_pool": visible(request.user, Pool.objects.all()).exists(),
    }
    return render(request, "storage/index.html", context)


@require_GET
@permission_required("storage.view")
def pool(request: PersonRequest, pk: int) -> HttpResponse:
    """One pool: its hosts, volumes and images. For htmx only figures and hosts, or the volumes."""
    if is_partial(request) and request.htmx.target == "volumes":  # type: ignore[attr-defined]
        return volumes(request, pk)
    found = _pool(request, pk)
    context = _about(request, found)
    if is_partial(request):
        return render(request, "storage/_pool_live.html", context)
    jobs = visible(request.user, Job.objects.filter(target_kind="pool", target_key=str(pk), parent=None))
    context |= _volumes(request, found) | grants_on(request.user, found)
    context |= {"images": found.images.order_by("name", "-created_at"), "jobs": jobs.select_related("user")[:8]}
    return render(request, "storage/pool.html", context)


def _pool(request: PersonRequest, pk: int, permission: str = "") -> Pool:
    return find(request.user, Pool.objects.all(), permission, pk=pk)


def _about(request: PersonRequest, found: Pool) -> dict[str, Any]:
    hosts = light(Host.objects.filter(pools__pool=found).order_by("name"), "name", "observed_state", "maintenance")
    row = matrix.rows([found], hosts)[0]
    words = request.GET.get("host", "").strip()[:100]
    cells = [cell for cell in row.worst_first if words.lower() in cell.host.name.lower()]
    return {
        "pool": found,
        "row": row,
        "cells": Paginator(cells, CELLS_PER_PAGE).get_page(request.GET.get("hosts")),
        "has_search": len(row.cells) > CELLS_PER_PAGE,
        "host_query": words,
        "can_manage": can(request.user, "storage.manage", found),
        "missing_hosts": everywhere(request.user, "storage.manage")
        and managed_hosts().exclude(pools__pool=found).exists(),
        "full": filling.FULL_PERCENT,
        "very_full": filling.VERY_FULL_PERCENT,
    }


@require_GET
@permission_required("storage.view")
def volumes(request: PersonRequest, pk: int) -> HttpResponse:
    """The volumes of a pool, as a fragment: search, pages, who uses each."""
    found = _pool(request, pk)
    return render(request, "storage/_volumes.html", _volumes(request, found))


def _volumes(request: PersonRequest, found: Pool) -> dict[str, Any]:
    words = request.GET.get("q", "").strip()[:100]
    rows = Volume.objects.filter(pool=found).select_related("host", "pool").order_by("name", "host__name")
    if words:
        rows = rows.filter(name__icontains=words)
    page = Paginator(rows, VOLUMES_PER_PAGE).get_page(request.GET.get("page"))
    users = usage.users_of(page.object_list)
    for row in page.object_list:
        row.users = users[row.pk]  # type: ignore[attr-defined]
    return {"pool": found, "page": page, "query": words, "can_manage": can(request.user, "storage.manage", found)}


@require_http_methods(["GET", "POST"])
@permission_required("storage.manage", on_all=True)
def add_pool(request: PersonRequest) -> HttpResponse:
    """The dialog that defines a pool on hosts."""
    asked = request.POST.get("kind") or request.GET.get("kind") or ""
    kind = asked if asked in backends() else next(iter(backends()))
    form = PoolForm(request.POST if request.method == "POST" else None, kind=kind, initial=_typed(request))
    if request.method == "POST" and form.is_valid():
        try:
            job = operations.begin_pool(request.user, form.values(), list(form.cleaned_data["hosts"]))
        except Refused as refused:
            form.add_refusal(refused)
        else:
            return job_response(request, job)
    context = {"form": form, "kind": kind, "backends": backends().values(), "backend": form.backend}
    return render_dialog(request, "storage/_pool_dialog.html", context, status=422 if form.is_bound else 200)


def _typed(request: PersonRequest) -> dict[str, Any]:
    """What was in the dialog before another kind was chosen."""
    if "name" not in request.GET:
        return {}
    typed: dict[str, Any] = {key: request.GET.get(key, "") for key in ("name", "target_path")}
    return typed | {"hosts": request.GET.getlist("hosts"), "autostart": "autostart" in request.GET}


@require_http_methods(["GET", "POST"])
@permission_required("storage.view")
def add_hosts(request: PersonRequest, pk: int) -> HttpResponse:
    """The dialog that makes a pool present on more hosts."""
    found = _pool(request, pk, "storage.manage")
    if not operations.PlacePool.allowed_to(request.user, found):
        raise PermissionDenied
    form = HostsForm(request.POST or None, hosts=managed_hosts().exclude(pools__pool=found))
    if request.method == "POST" and form.is_valid():
        hosts = [host.pk for host in form.cleaned_data["hosts"]]
        try:
            job = enqueue(operations.PlacePool(found, {"hosts": hosts}), user=request.user)
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return job_response(request, job)
    context = {"form": form, "pool": found}
    return render_dialog(request, "storage/_hosts_dialog.html", context, status=422 if form.is_bound else 200)


@require_POST
@permission_required("storage.view")
def retry(request: PersonRequest, pk: int) -> HttpResponse:
    """Define the pool again on every host where it failed or is missing."""
    found = _pool(request, pk, "storage.manage")
    failed = found.presences.filter(Q(seen_at=None) | Q(missing_since__isnull=False))
    hosts = list(failed.values_list("host_id", flat=True))
    try:
        job = enqueue(operations.PlacePool(found, {"hosts": hosts}), user=request.user)
    except Refused as refused:
        return note_response(request, refused.message, found.get_absolute_url())
    return job_response(request, job)


@require_POST
@permission_required("storage.view")
def act(request: PersonRequest, pk: int, host_pk: int, verb: str) -> HttpResponse:
    """One verb for the pool on one host."""
    if verb not in VERBS:
        raise Http404
    found = _pool(request, pk, "storage.manage")
    kind, params = VERBS[verb]
    try:
        job = enqueue(kind(found, {**params, "host": host_pk}), user=request.user)
    except Refused as refused:
        return note_response(request, refused.message, found.get_absolute_url())
    return job_response(request, job)


@require_http_methods(["GET", "POST"])
@permission_required("storage.view")
def remove(request: PersonRequest, pk: int) -> HttpResponse:
    """The dialog that removes a pool from some hosts, or from all and from Drover."""
    found = _pool(request, pk, "storage.manage")
    there = Host.objects.filter(pools__pool=found).order_by("name")
    form = HostsForm(request.POST or None, hosts=there)
    if request.method == "POST" and form.is_valid():
        chosen = [host.pk for host in form.cleaned_data["hosts"]]
        everywhere = len(chosen) == there.count()
        params = {"hosts": chosen, **({"forget": True} if everywhere else {})}
        try:
            job = enqueue(operations.RemovePool(found, params), user=request.user)
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return job_response(request, job)
    users = usage.users_of_pool(found)
    context = {"form": form, "pool": found, "users": users[:20], "more_users": max(0, len(users) - 20)}
    return render_dialog(request, "storage/_remove_dialog.html", context, status=422 if form.is_bound else 200)


@require_POST
@permission_required("storage.view")
def forget(request: PersonRequest, pk: int) -> HttpResponse:
    """Drop a pool that no host has."""
    found = _pool(request, pk, "storage.manage")
    try:
        job = enqueue(operations.RemovePool(found, {"forget": True}), user=request.user)
    except Refused as refused:
        return note_response(request, refused.message, found.get_absolute_url())
    return job_response(request, job)


@require_GET
@permission_required("storage.view")
def on_host(request: PersonRequest, pk: int) -> HttpResponse:
    """The pools of a host, as a fragment of its page."""
    host = get_object_or_404(visible(request.user, Host.objects.all()), pk=pk)
    pools = Pool.objects.filter(presences__host=host).order_by("name")
    context = {
        "host": host,
        "cells": [row.cells[0] for row in matrix.rows(pools, [host])],
        "full": filling.FULL_PERCENT,
        "very_full": filling.VERY_FULL_PERCENT,
    }
    return render(request, "storage/_on_host.html", context)
