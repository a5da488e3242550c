"""The overview and its live pieces, the search over everything, and a health check for load balancers."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET
from django.views.defaults import page_not_found

from access.rules import can, permission_required
from api.problems import problem
from cluster.attention import attention
from cluster.context import address
from cluster.figures import figures, look
from cluster.map import cluster_map
from cluster.search import find
from ui.htmx import is_partial


def map_context(request: HttpRequest) -> dict[str, Any]:
    return cluster_map(request.user, page=request.GET.get("page", "1"), find=request.GET.get("find", "").strip()[:64])


@require_GET
@permission_required("vms.view")
def overview(request: HttpRequest) -> HttpResponse:
    """Of the cluster. Who does not see it begins with their own VMs."""
    if not can(request.user, "hosts.view"):
        return redirect("cluster:my_vms")
    seen = look()
    context: dict[str, Any] = {
        "items": attention(request.user, seen),
        "new_vm": address("vms:create", request.user, "vms.create"),
        "add_host": address("hosts:add", request.user, "hosts.manage"),
        **figures(request.user, seen),
        **map_context(request),
    }
    return render(request, "cluster/overview.html", context)


@require_GET
@permission_required("vms.view")
def show_figures(request: HttpRequest) -> HttpResponse:
    return render(request, "cluster/_figures.html", figures(request.user))


@require_GET
@permission_required("vms.view")
def show_attention(request: HttpRequest) -> HttpResponse:
    return render(request, "cluster/_attention.html", {"items": attention(request.user)})


@require_GET
@permission_required("hosts.view")
def show_map(request: HttpRequest) -> HttpResponse:
    return render(request, "cluster/_map.html", map_context(request))


@require_GET
@permission_required("vms.view")
def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "")
    context = {"groups": find(request.user, words), "words": words.strip()}
    template = "cluster/_search_results.html" if is_partial(request) else "cluster/search.html"
    return render(request, template, context)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A script gets problem details for a call that does not exist, too."""
    if request.path.startswith("/api/"):
        return problem(404, "Not found", "There is no such call: /api/v1/docs lists them.")
    return page_not_found(request, exception)


@login_not_required
@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")
