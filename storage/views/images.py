"""The catalogue of images, the page of one, and importing."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.rules import PersonRequest, can, everywhere, find, permission_required, visible
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage import uploads, usage
from storage.forms import EditImageForm, ImageForm, UploadForm, UrlImportForm, VolumeImportForm
from storage.images import hosts_with_image, importable, latest, latest_of_each
from storage.models import Image, Upload, Volume
from storage.operations import catalogue
from storage.operations import images as operations
from ui.forms import add_refusal, number_in
from ui.htmx import is_partial, job_response, note_response, render_dialog

PER_PAGE = 50
SOURCES = ("url", "upload", "volume")
CHOICES = 500
SHOWN = 30  # hosts and users of an image


@require_GET
@permission_required("storage.view")
def images(request: PersonRequest) -> HttpResponse:
    """All images, grouped by family, newest version first."""
    words = request.GET.get("q", "").strip()[:100]
    rows = visible(request.user, Image.objects.select_related("pool", "host", "owner"))
    if words:
        rows = rows.filter(Q(name__icontains=words) | Q(os_name__icontains=words) | Q(version__icontains=words))
    page = Paginator(rows.order_by("name", "-created_at", "-pk"), PER_PAGE).get_page(request.GET.get("page"))
    newest = {image.pk for image in latest_of_each().values()}
    for image in page.object_list:
        image.is_latest = image.pk in newest  # type: ignore[attr-defined]
    context: dict[str, Any] = {"page": page, "query": words, "jobs": _active_jobs(page.object_list)}
    for image in page.object_list:
        image.active_job = context["jobs"].get(image.pk)  # type: ignore[attr-defined]
    if is_partial(request) and "whole" not in request.GET:
        return render(request, "storage/_image_table.html", context)
    context |= {"can_import": everywhere(request.user, "storage.images"), "any_image": Image.objects.exists()}
    return render(request, "storage/images.html", context)


def _active_jobs(rows: Any) -> dict[int, Job]:
    keys = [str(image.pk) for image in rows]
    jobs = Job.objects.filter(target_kind="image", target_key__in=keys, finished_at=None).order_by("id")
    return {int(job.target_key): job for job in jobs}


def _image(request: PersonRequest, pk: int, permission: str = "") -> Image:
    return find(request.user, Image.objects.select_related("pool", "host", "owner"), permission, pk=pk)


@require_GET
@permission_required("storage.view")
def image(request: PersonRequest, pk: int) -> HttpResponse:
    """One image: what it is, where it lies, its other versions, and who uses it."""
    found = _image(request, pk)
    context = _about(request, found)
    template = "storage/_image_live.html" if is_partial(request) else "storage/image.html"
    return render(request, template, context)


def _about(request: PersonRequest, found: Image) -> dict[str, Any]:
    jobs = visible(request.user, Job.objects.filter(target_kind="image", target_key=str(found.pk)))
    family = visible(request.user, Image.objects.filter(name=found.name)).order_by("-created_at", "-pk")
    places = hosts_with_image(found).order_by("name").only("name", "observed_state", "maintenance")
    hosts, users = list(places) if found.is_ready else [], usage.users_of_image(found)
    return {
        "image": found,
        "is_latest": latest(found.name) == found,
        "versions": family.select_related("pool", "host"),
        "hosts": hosts[:SHOWN],
        "more_hosts": len(hosts[SHOWN:]),
        "users": users[:SHOWN],
        "more_users": len(users[SHOWN:]),
        "active": next((job for job in jobs[:5] if job.is_active), None),
        "jobs": jobs.select_related("user")[:8],
        "upload": Upload.objects.filter(image=found).first(),
        "chunk_bytes": uploads.CHUNK_BYTES,
        "can_import": can(request.user, "storage.images", found),
    }


@require_http_methods(["GET", "POST"])
@permission_required("storage.images", on_all=True)
def import_image(request: PersonRequest) -> HttpResponse:
    """A page with three ways in: an address, a file from this computer, a file in a pool."""
    source = request.GET.get("from", "url")
    if source not in SOURCES:
        source = "url"
    form = _import_form(request, source)
    if request.method == "POST" and form.is_valid():
        begin = operations.begin_url_import if source == "url" else operations.begin_volume_import
        try:
            job = begin(request.user, form.values())
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return redirect("storage:image", int(job.target_key))
    context = {"form": form, "source": source, "chunk_bytes": uploads.CHUNK_BYTES}
    return render(request, "storage/import.html", context, status=422 if form.is_bound and form.errors else 200)


def _import_form(request: PersonRequest, source: str) -> ImageForm:
    data = request.POST if request.method == "POST" and source != "upload" else None
    if source == "upload":
        return UploadForm()
    if source == "url":
        return UrlImportForm(data)
    rows = visible(request.user, importable())
    wanted = number_in(request.GET.get("volume", ""))
    chosen = rows.filter(pk=wanted) if wanted else rows.none()
    few = rows.order_by("pool__name", "name").values_list("pk", flat=True)[:CHOICES]
    choices = Volume.objects.filter(pk__in=[*few, *chosen.values_list("pk", flat=True)]).select_related("pool", "host")
    return VolumeImportForm(data, volumes=choices, initial={"volume": wanted} if chosen else {})


@require_POST
@permission_required("storage.view")
def retry(request: PersonRequest, pk: int) -> HttpResponse:
    found = _image(request, pk, "storage.images")
    try:
        return job_response(request, operations.retry(request.user, found))
    except Refused as refused:
        return note_response(request, refused.message, found.get_absolute_url())


@require_http_methods(["GET", "POST"])
@permission_required("storage.view")
def edit(request: PersonRequest, pk: int) -> HttpResponse:
    found = _image(request, pk, "storage.images")
    values = {field: getattr(found, field) for field in catalogue.EDITABLE}
    form = EditImageForm(request.POST or None, initial=values)
    if form.is_bound and form.is_valid():
        try:
            return job_response(request, enqueue(catalogue.EditImage(found, form.cleaned_data), user=request.user))
        except Refused as refused:
            add_refusal(form, refused)
    context = {"form": form, "image": found}
    return render_dialog(request, "storage/_image_edit_dialog.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@permission_required("storage.view")
def delete(request: PersonRequest, pk: int) -> HttpResponse:
    found = _image(request, pk, "storage.images")
    refusal = ""
    if request.method == "POST":
        params = {"keep_file": request.POST.get("keep_file") == "on"}
        try:
            return job_response(request, enqueue(catalogue.DeleteImage(found, params), user=request.user))
        except Refused as refused:
            refusal = str(refused.message)
    context = {"image": found, "users": usage.users_of_image(found), "refusal": refusal}
    return render_dialog(request, "storage/_image_delete_dialog.html", context, status=422 if refusal else 200)
