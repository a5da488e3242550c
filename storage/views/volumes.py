"""Dialogs of volumes: create, grow, copy, delete, forget."""

from typing import Any

from django.forms import Form
from django.http import HttpResponse
from django.views.decorators.http import require_http_methods, require_POST

from access.rules import PersonRequest, find, permission_required
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.operations import Operation
from storage import usage
from storage.forms import GIB, CopyForm, SizeForm, VolumeForm
from storage.models import Pool, Volume
from storage.operations import volumes as operations
from storage.volumes import hosts_with_pool
from ui.forms import add_refusal
from ui.htmx import job_response, note_response, render_dialog


def _volume(request: PersonRequest, pk: int) -> Volume:
    return find(request.user, Volume.objects.select_related("pool", "host"), "storage.manage", pk=pk)


def _answer(
    request: PersonRequest, template: str, form: Form, operation: Operation | None, context: dict[str, Any]
) -> HttpResponse:
    """Start the job of a valid form, or show the dialog (again)."""
    if operation is not None:
        try:
            return job_response(request, enqueue(operation, user=request.user))
        except Refused as refused:
            add_refusal(form, refused)
    return render_dialog(request, template, {"form": form, **context}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@permission_required("storage.view")
def add_volume(request: PersonRequest, pk: int) -> HttpResponse:
    pool = find(request.user, Pool.objects.all(), "storage.manage", pk=pk)
    form = VolumeForm(request.POST or None, pool=pool, hosts=hosts_with_pool(pool).order_by("name"))
    operation = None
    if form.is_bound and form.is_valid():
        data = form.cleaned_data
        host = data.get("host")
        params = {"name": data["name"], "format": data["format"], "size_bytes": data["size"], "full": data["full"]}
        operation = operations.CreateVolume(pool, params | {"host": host.pk if host else None})
    return _answer(request, "storage/_volume_dialog.html", form, operation, {"pool": pool})


@require_http_methods(["GET", "POST"])
@permission_required("storage.view")
def resize(request: PersonRequest, pk: int) -> HttpResponse:
    volume = _volume(request, pk)
    form = SizeForm(
        request.POST or None, initial={"size": f"{volume.capacity_bytes / GIB:.4f}".rstrip("0").rstrip(".")}
    )
    operation = None
    if form.is_bound and form.is_valid():
        operation = operations.ResizeVolume(volume, {"size_bytes": form.cleaned_data["size"]})
    return _answer(request, "storage/_resize_dialog.html", form, operation, {"volume": volume})


@require_http_methods(["GET", "POST"])
@permission_required("storage.view")
def copy(request: PersonRequest, pk: int) -> HttpResponse:
    volume = _volume(request, pk)
    stem, dot, ending = volume.name.rpartition(".")
    form = CopyForm(request.POST or None, initial={"name": f"{stem}-copy.{ending}" if dot else f"{volume.name}-copy"})
    operation = None
    if form.is_bound and form.is_valid():
        operation = operations.CloneVolume(volume, {"name": form.cleaned_data["name"]})
    return _answer(request, "storage/_copy_dialog.html", form, operation, {"volume": volume})


@require_http_methods(["GET", "POST"])
@permission_required("storage.view")
def delete(request: PersonRequest, pk: int) -> HttpResponse:
    volume = _volume(request, pk)
    form = Form(request.POST or None)
    operation = operations.DeleteVolume(volume) if request.method == "POST" else None
    users = usage.users_of([volume])[volume.pk]
    return _answer(request, "storage/_volume_delete_dialog.html", form, operation, {"volume": volume, "users": users})


@require_POST
@permission_required("storage.view")
def forget(request: PersonRequest, pk: int) -> HttpResponse:
    volume = _volume(request, pk)
    try:
        return job_response(request, enqueue(operations.ForgetVolume(volume), user=request.user))
    except Refused as refused:
        return note_response(request, refused.message, volume.pool.get_absolute_url())
