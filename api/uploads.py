"""A file into a pool in parts: begin, send part after part, ask where to go on, give up. As a browser does it."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from ninja import Router, Status
from redis.exceptions import RedisError

from access.rules import PersonRequest, visible
from api.forms import cleaned
from api.problems import problem
from api.rights import require
from api.schemas import JobOut, Problem, UploadIn, UploadOut
from jobs.states import ACTIVE
from storage import uploads
from storage.forms import UploadForm
from storage.models import Upload
from storage.operations import uploads as operations
from storage.uploads import CHUNK_BYTES, QueueFull, WrongOffset
from ui.forms import number_in

router = Router(tags=["uploads"])
SEEN = {200: UploadOut, 403: Problem, 404: Problem}
PART = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}},
    "parameters": [
        {"in": "header", "name": "Upload-Offset", "required": True, "schema": {"type": "integer", "minimum": 0}}
    ],
}


def find(request: PersonRequest, upload_id: UUID) -> Upload:
    """Only one's own: another person has another file."""
    require(request, "storage.images", on_all=True)
    mine = Upload.objects.filter(user=request.user).select_related("image", "job")
    return get_object_or_404(visible(request.user, mine), pk=upload_id)


@router.post("/", response={201: UploadOut, 403: Problem, 409: Problem, 422: Problem})
def begin_upload(request: PersonRequest, wish: UploadIn) -> Any:
    """Say what will come and where it goes. Then send parts of at most `chunk` bytes, in order."""
    require(request, "storage.images", on_all=True)
    form = UploadForm(wish.dict())
    cleaned(form)
    fields = form.values() | {"file_name": wish.file_name, "size_bytes": wish.size_bytes}
    return Status(201, operations.begin_upload(request.user, fields))


@router.get("/{upload_id}", response=SEEN)
def get_upload(request: PersonRequest, upload_id: UUID) -> Any:
    """How far it is: go on at `accepted`. 404 when it has ended: then ask its job or image."""
    return find(request, upload_id)


@router.put(
    "/{upload_id}",
    response={**SEEN, 409: Problem, 410: Problem, 422: Problem, 429: Problem, 503: Problem},
    openapi_extra=PART,
)
def send_part(request: PersonRequest, upload_id: UUID) -> Any:
    """One part of the file; the header Upload-Offset says where in the file it begins.

    409: another part is wanted, `accepted` says which. 429 and 503: send this part again after Retry-After seconds.
    410: nobody takes parts any more; `resume` starts that again.
    """
    upload = find(request, upload_id)
    offset = number_in(request.headers.get("Upload-Offset", ""))
    if offset is None or not 0 < len(request.body) <= CHUNK_BYTES:
        detail = f"Send 1 to {CHUNK_BYTES} bytes, and the header Upload-Offset."
        return problem(422, "Invalid", detail, field="Upload-Offset")
    if upload.job is None or upload.job.state not in ACTIVE:
        return problem(410, "Gone", "Nobody takes parts of this upload any more: resume it.")
    try:
        upload.accepted_bytes = uploads.accept(upload, offset, request.body)
    except WrongOffset as wrong:
        return problem(409, "Wrong part", f"Go on at {wrong.wanted}.", field="Upload-Offset", accepted=wrong.wanted)
    except Upload.DoesNotExist as gone:
        raise Http404 from gone
    except QueueFull:
        return problem(429, "Too fast", "Send this part again in a second.", retry_after_s=1)
    except RedisError:
        return problem(503, "Not now", "Redis does not answer. Send this part again soon.", retry_after_s=2)
    return upload


@router.post("/{upload_id}/resume", response={**SEEN, 409: Problem})
def resume_upload(request: PersonRequest, upload_id: UUID) -> Any:
    """Start the taking of parts again, after it stopped because nothing came."""
    upload = find(request, upload_id)
    operations.start_receiving(upload, request.user)
    upload.refresh_from_db()
    return upload


@router.delete("/{upload_id}", response={202: JobOut, 403: Problem, 404: Problem, 409: Problem})
def give_up_upload(request: PersonRequest, upload_id: UUID) -> Any:
    """Give it up; what is stored is removed."""
    return Status(202, operations.give_up(find(request, upload_id), request.user))
