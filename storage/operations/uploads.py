"""A file from a browser into a volume: the worker's end. An upload that stopped goes on where it is stored."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis.exceptions import RedisError

from access.models import User
from hosts.models import Host
from jobs import limits
from jobs.engine import cancel, enqueue
from jobs.errors import Failed, Refused
from jobs.models import Job
from jobs.operations import register
from jobs.run import Run
from jobs.states import ACTIVE
from storage import inspection, uploads, volumes
from storage.models import Image, ImageOrigin, ImageState, Upload
from storage.operations.images import ImportImage, final_sum, new_image
from storage.operations.volumes import working_host
from storage.transfer import Filling
from ui import locks

MAX_BYTES = 1024**4
TOO_MANY = gettext_lazy("%(n)s of your uploads are not done: let them end, or give them up.")


def begin_upload(user: User, fields: dict[str, Any]) -> Upload:
    """fields as `new_image`, and file_name, size_bytes. Writes image and upload and starts the worker's end.

    Raises Refused, PermissionDenied.
    """
    size = fields.get("size_bytes")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_BYTES:
        raise Refused(_("The file is empty, or larger than 1 TiB."), field="file")
    file_name = "".join(sign for sign in str(fields.get("file_name", "")) if sign.isprintable())[:255]
    with transaction.atomic():
        locks.hold(user)
        limits.check(Upload.objects.filter(user=user), settings.MOST_UPLOADS, TOO_MANY)
        image = new_image(user, fields, ImageOrigin.UPLOAD, file_name)
        host = working_host(image.pool, image.host_id or fields.get("host") or None)
        cell = image.pool.presences.filter(host=host).first()
        if cell and cell.available_bytes is not None and size > cell.available_bytes:
            raise Refused(_("The pool has not enough room for this file."), field="file")
        upload = Upload.objects.create(
            id=uuid4(), image=image, user=user, host=host, size_bytes=size, file_name=file_name
        )
        return start_receiving(upload, user)


def start_receiving(upload: Upload, user: User) -> Upload:
    """Start (again) the job that takes the parts; does nothing while one is active."""
    if upload.job is None or upload.job.state not in ACTIVE:
        upload.job = enqueue(ReceiveUpload(upload.image, {"upload": str(upload.pk)}), user=user)
        upload.touched_at = timezone.now()
        upload.save(update_fields=["job", "touched_at"])
    return upload


def give_up(upload: Upload, user: User) -> Job:
    """Cancel what runs, or begin the removal of what is stored. Raises Refused, PermissionDenied."""
    if upload.job is not None and cancel(upload.job, user):
        return upload.job
    return enqueue(AbandonUpload(upload.image, {"upload": str(upload.pk)}), user=user)


@register
class ReceiveUpload(ImportImage):
    """params: upload. Ends failed, but keeps what is stored, when the browser falls silent."""

    name = "storage.receive_upload"
    verb = gettext_lazy("Upload image")
    keeps_part = False

    def upload(self) -> Upload:
        upload = Upload.objects.filter(pk=self.params["upload"]).select_related("host").first()
        if upload is None:
            raise Refused(_("This upload is over."))
        return upload

    def host(self) -> Host:
        return working_host(self.target.pool, self.upload().host_id)

    def fetch(self, run: Run, host: Host) -> None:
        image, upload = self.target, self.upload()
        if not image.is_stored:
            self.claim_name(run, host)
        if not volumes.volume_exists(image.pool, host, image.volume_name):
            run.log(_("%(n)d bytes from “%(name)s”.") % {"n": upload.size_bytes, "name": upload.file_name})
            virsh = ["virsh", "-c", host.target.shown_uri]
            size = str(upload.size_bytes)
            run.command(*virsh, "vol-create-as", image.pool.name, image.volume_name, size, "--format", "raw")
            run.command(*virsh, "vol-upload", image.volume_name, upload.file_name, "--pool", image.pool.name)
            volumes.make_room(image.pool, host, image.volume_name, upload.size_bytes)
            upload.stored_bytes = 0
            upload.save(update_fields=["stored_bytes"])
        expected = self.expected(host)
        image.checksum = self._receive(run, host, upload)
        if expected and expected.partition(":")[0] != image.checksum.partition(":")[0]:
            image.checksum = final_sum(run, host, image, None, expected.partition(":")[0])
        if expected and image.checksum != expected:
            message = _("The file is not the one the checksum belongs to; it was removed.")
            raise Failed(message, f"expected {expected}\nreceived {image.checksum}")

    def _receive(self, run: Run, host: Host, upload: Upload) -> str:
        def stored(offset: int) -> None:
            Upload.objects.filter(pk=upload.pk).update(stored_bytes=offset, touched_at=timezone.now())

        source = uploads.QueueSource(upload.pk)
        filling = Filling(
            run,
            self.target.pool,
            host,
            self.target.volume_name,
            source,
            size=upload.size_bytes,
            start=upload.stored_bytes,
            stored=stored,
            first_bytes=inspection.refuse_head,
        )
        if upload.stored_bytes < upload.size_bytes:
            try:
                filling.fill()
            except uploads.BrowserSilent:
                self.keeps_part = True
                raise
        return final_sum(run, host, self.target, filling.digest.hex)

    def _finish(self, run: Run, host: Host, found: inspection.Found) -> dict[str, Any]:
        result = super()._finish(run, host, found)
        self._forget_upload()
        return result

    def clean(self, run: Run) -> None:
        if self.keeps_part and not run.cancel_asked.is_set():
            return
        super().clean(run)
        self._forget_upload()

    def _forget_upload(self) -> None:
        Upload.objects.filter(pk=self.params["upload"]).delete()
        try:
            uploads.forget(self.params["upload"])
        except RedisError:
            return  # what waits there ends by itself


@shared_task(name="storage.clean_uploads")
def clean_uploads(older_than: timedelta = uploads.ABANDONED_AFTER) -> None:
    """Remove what uploads left that nobody has continued for a day."""
    stale = Upload.objects.filter(touched_at__lt=timezone.now() - older_than).select_related("image", "job")
    for upload in stale:
        if upload.job is None or upload.job.state not in ACTIVE:
            enqueue(AbandonUpload(upload.image, {"upload": str(upload.pk)}), user=None)


@register
class AbandonUpload(ReceiveUpload):
    """Remove the part of a file whose upload was given up."""

    name = "storage.abandon_upload"
    verb = gettext_lazy("Give up the upload of")
    cancellable = False

    def refuse(self) -> None:
        if self.target.state == ImageState.READY:
            raise Refused(_("This image is ready already."))

    def run(self, run: Run) -> dict[str, Any]:
        image = self.target
        if image.is_stored:
            host = self.host()
            run.command(
                "virsh", "-c", host.target.shown_uri, "vol-delete", image.volume_name, "--pool", image.pool.name
            )
            volumes.delete_volume(image.pool, host, image.volume_name)
        self._forget_upload()
        Image.objects.filter(pk=image.pk).update(
            is_stored=False, state=ImageState.FAILED, error=_("The upload was given up.")
        )
        self._announce()
        return {}

    def failed(self, run: Run) -> None:
        """Tried again the next hour."""
