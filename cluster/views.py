"""The overview, the search over everything, and a health check for load balancers."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    return render(request, "cluster/overview.html", {})


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    return render(request, "cluster/_search_results.html", {"results": []})


@login_not_required
@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")
