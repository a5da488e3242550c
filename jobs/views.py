"""Jobs: the list, one job, the dock."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from access.rules import permission_required, visible
from jobs.models import Job


@require_GET
@permission_required("jobs.view")
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "jobs/index.html", {"jobs": visible(request.user, Job.objects.all())[:50]})


@require_GET
@permission_required("jobs.view")
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return render(
        request,
        "jobs/detail.html",
        {"job": get_object_or_404(visible(request.user, Job.objects.all()), pk=pk)},
    )


@require_GET
@permission_required("jobs.view")
def dock(request: HttpRequest) -> HttpResponse:
    return render(request, "jobs/_dock.html", {})
