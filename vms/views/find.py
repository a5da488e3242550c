"""Fetching a VM through what this person may see."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render

from access.rules import PersonRequest, find, visible
from jobs.models import Job
from ui.htmx import is_partial
from vms.models import Vm


def gone(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """In place of a page's content when its VM is no longer there: what happened to it."""
    jobs = Job.objects.filter(target_kind="vm", target_key=str(uuid)).select_related("user")
    job = visible(request.user, jobs).order_by("-pk").first()
    response = render(request, "vms/_gone.html", {"job": job})
    response.headers["HX-Retarget"] = "#content"
    response.headers["HX-Reswap"] = "innerHTML"
    return response


def is_gone(request: PersonRequest, uuid: UUID) -> bool:
    """Whether a live piece of an open page asks for a VM that was deleted meanwhile."""
    return is_partial(request) and not visible(request.user, Vm.objects.filter(uuid=uuid)).exists()


def find_vm(request: PersonRequest, uuid: UUID, permission: str = "", *, with_xml: bool = False) -> Vm:
    """The VM, or 404; 403 without this permission on it. Its definitions are large: only a page that shows them reads
    them."""
    rows = Vm.objects.select_related("host", "owner", "group", "image", "job")
    if not with_xml:
        rows = rows.defer("definition", "live_definition")
    return find(request.user, rows, permission, uuid=uuid)
