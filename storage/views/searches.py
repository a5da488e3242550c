"""What a server offers for a pool: asked by a job, shown in the dialog that defines the pool."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from access.rules import PersonRequest, find, permission_required
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage.operations.search import SearchServer
from ui.forms import numbers_in


@require_POST
@permission_required("storage.manage", on_all=True)
def begin(request: PersonRequest) -> HttpResponse:
    """With what stands in the dialog; the first of the ticked hosts that answers asks the server."""
    posted = request.POST
    params: dict[str, Any] = {"kind": posted.get("kind", ""), "server": posted.get("host", "").strip()}
    params["hosts"] = numbers_in(posted.getlist("hosts"))
    try:
        job = enqueue(SearchServer(None, params), user=request.user)
    except Refused as refused:
        return render(request, "storage/_offered.html", {"refusal": refused.message}, status=422)
    return render(request, "storage/_offered.html", {"job": job})


@require_GET
@permission_required("storage.manage", on_all=True)
def result(request: PersonRequest, pk: int) -> HttpResponse:
    job = find(request.user, Job.objects.filter(operation=SearchServer.name), pk=pk)
    return render(request, "storage/_offered.html", {"job": job, "offered": job.result.get("offered", [])})
