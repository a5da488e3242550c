"""The browser's end of an upload: begin, send part after part, ask where to go on, give up. Answers are JSON."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from redis.exceptions import RedisError

from access.rules import PersonRequest, permission_required, visible
from jobs.errors import Refused
from jobs.states import ACTIVE
from storage import uploads
from storage.forms import UploadForm
from storage.models import Upload
from storage.operations import uploads as operations
from storage.uploads import CHUNK_BYTES, QueueFull, WrongOffset
from ui.forms import number_in

LATER_MS = 400
AWAY_MS = 2000


def _state(upload: Upload) -> dict[str, Any]:
    job = upload.job
    return {
        "id": str(upload.pk),
        "url": upload_url(upload),
        "image": upload.image.get_absolute_url(),
        "job": job.pk if job else None,
        "is_active": bool(job and job.state in ACTIVE),
        "size": upload.size_bytes,
        "file_name": upload.file_name,
        "accepted": upload.accepted_bytes,
        "stored": upload.stored_bytes,
        "chunk": CHUNK_BYTES,
        "is_full": uploads.is_full(upload.pk),
    }


def upload_url(upload: Upload) -> str:
    return reverse("storage:upload", args=[upload.pk])


def _upload(request: PersonRequest, pk: UUID) -> Upload:
    """Only one's own: another person's browser has another file."""
    rows = Upload.objects.filter(user=request.user).select_related("image", "job")
    return get_object_or_404(visible(request.user, rows), pk=pk)


@require_POST
@permission_required("storage.images", on_all=True)
def begin(request: PersonRequest) -> HttpResponse:
    """The form without the file, but with its name and size."""
    form = UploadForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=422)
    fields = form.values() | {
        "file_name": request.POST.get("file_name", ""),
        "size_bytes": number_in(request.POST.get("size_bytes", "")) or 0,
    }
    try:
        upload = operations.begin_upload(request.user, fields)
    except Refused as refused:
        return JsonResponse({"errors": {refused.field or "__all__": [str(refused.message)]}}, status=422)
    return JsonResponse(_state(upload), status=201)


@require_GET
@permission_required("storage.images", on_all=True)
def state(request: PersonRequest, pk: UUID) -> HttpResponse:
    """How far it is: what the browser asks before it goes on. One that has ended is no error: it has arrived."""
    mine = Upload.objects.filter(user=request.user, pk=pk).select_related("image", "job").first()
    return JsonResponse(_state(mine) if mine else {"is_over": True})


@require_POST
@permission_required("storage.images", on_all=True)
def send(request: PersonRequest, pk: UUID) -> HttpResponse:
    """One part; its place in the file is in the header Upload-Offset."""
    upload = _upload(request, pk)
    offset = number_in(request.headers.get("Upload-Offset", ""))
    data = request.body
    if offset is None or not 0 < len(data) <= CHUNK_BYTES:
        return JsonResponse(_state(upload), status=400)
    if upload.job is None or upload.job.state not in ACTIVE:
        return JsonResponse(_state(upload), status=410)
    try:
        accepted = uploads.accept(upload, offset, data)
    except WrongOffset as wrong:
        return JsonResponse({**_state(upload), "accepted": wrong.wanted}, status=409)
    except Upload.DoesNotExist as gone:
        raise Http404 from gone
    except QueueFull:
        return JsonResponse({"retry_ms": LATER_MS}, status=429, headers={"Retry-After": "1"})
    except RedisError:
        return JsonResponse({"retry_ms": AWAY_MS}, status=503, headers={"Retry-After": "2"})
    return JsonResponse({"accepted": accepted, "is_full": uploads.is_full(upload.pk)})


@require_POST
@permission_required("storage.images", on_all=True)
def resume(request: PersonRequest, pk: UUID) -> HttpResponse:
    """Start the worker's end again; answers where to go on."""
    upload = _upload(request, pk)
    try:
        operations.start_receiving(upload, request.user)
    except Refused as refused:
        return JsonResponse({"errors": {"__all__": [str(refused.message)]}}, status=422)
    upload.refresh_from_db()
    return JsonResponse(_state(upload))


@require_POST
@permission_required("storage.images", on_all=True)
def give_up(request: PersonRequest, pk: UUID) -> HttpResponse:
    """Cancel what runs; what is stored is removed."""
    upload = _upload(request, pk)
    try:
        operations.give_up(upload, request.user)
    except Refused as refused:
        return JsonResponse({"errors": {"__all__": [str(refused.message)]}}, status=422)
    return JsonResponse({"image": upload.image.get_absolute_url()})
