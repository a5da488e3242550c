"""Images: list, import from an address or a volume, upload, rename, delete."""

from typing import Any

from django.db.models import QuerySet
from ninja import Query, Router, Status

from access import rules
from access.rules import PersonRequest, visible
from api.forms import cleaned
from api.rights import require
from api.schemas import DeleteImageIn, ImageChangeIn, ImageOut, JobOut, Problem, UrlImportIn, VolumeImportIn
from jobs.engine import enqueue
from storage.forms import EditImageForm, UrlImportForm, VolumeImportForm
from storage.images import importable
from storage.models import Image
from storage.operations import catalogue
from storage.operations import images as operations

router = Router(tags=["images"])
BEGUN = {202: JobOut, 403: Problem, 409: Problem, 422: Problem}
STARTED = {**BEGUN, 404: Problem}


def find(request: PersonRequest, image_id: int, permission: str = "storage.images") -> Image:
    require(request, "storage.view")
    return rules.find(request.user, Image.objects.all(), permission, pk=image_id)


@router.get("/", response=list[ImageOut])
def list_images(request: PersonRequest, name: str = Query("")) -> QuerySet[Image]:
    """All images, newest version of a family first."""
    require(request, "storage.view")
    found = visible(request.user, Image.objects.all())
    return found.filter(name=name) if name else found


@router.post("/from-url", response=BEGUN)
def import_from_url(request: PersonRequest, wish: UrlImportIn) -> Any:
    """A host downloads the file into a pool and checks it. The job's `target_key` is the image's number."""
    require(request, "storage.images", on_all=True)
    form = UrlImportForm(wish.dict())
    cleaned(form)
    return Status(202, operations.begin_url_import(request.user, form.values()))


@router.post("/from-volume", response=BEGUN)
def import_from_volume(request: PersonRequest, wish: VolumeImportIn) -> Any:
    """Take a file that lies in a pool (`GET /pools/{id}/volumes`) as an image, where it is."""
    require(request, "storage.images", on_all=True)
    form = VolumeImportForm(wish.dict(), volumes=visible(request.user, importable()))
    cleaned(form)
    return Status(202, operations.begin_volume_import(request.user, form.values()))


@router.get("/{image_id}", response={200: ImageOut, 403: Problem, 404: Problem})
def get_image(request: PersonRequest, image_id: int) -> Any:
    """One version of an image."""
    return find(request, image_id, "storage.view")


@router.patch("/{image_id}", response=STARTED)
def change_image(request: PersonRequest, image_id: int, wish: ImageChangeIn) -> Any:
    """Rename or describe an image; what is left out stays. Its file keeps its name."""
    found = find(request, image_id)
    now = {field: getattr(found, field) for field in catalogue.EDITABLE}
    data = cleaned(EditImageForm({**now, **wish.dict(exclude_unset=True)}))
    return Status(202, enqueue(catalogue.EditImage(found, data), user=request.user))


@router.post("/{image_id}/retry", response=STARTED)
def retry_import(request: PersonRequest, image_id: int) -> Any:
    """Import an image again whose import failed."""
    return Status(202, operations.retry(request.user, find(request, image_id)))


@router.delete("/{image_id}", response=STARTED)
def delete_image(request: PersonRequest, image_id: int, wish: DeleteImageIn | None = None) -> Any:
    """Delete an image and its file; with `keep_file` only its entry. Refused while VMs stand on it."""
    params = {"keep_file": wish.keep_file if wish else False}
    return Status(202, enqueue(catalogue.DeleteImage(find(request, image_id), params), user=request.user))
