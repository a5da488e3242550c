"""Images that are there: describe and delete."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobs.errors import Refused
from jobs.operations import Operation, register
from jobs.run import Run
from storage import inspection, sync, usage, volumes
from storage.models import Image, ImageState
from storage.operations.volumes import working_host
from ui import live


@register
class DeleteImage(Operation):
    """Delete an image and its file. params: keep_file (only the catalogue entry goes)."""

    name = "storage.delete_image"
    removes_target = True
    verb = gettext_lazy("Delete image")
    permission = "storage.images"
    removes_target = True
    model = Image
    target_kind = "image"

    def refuse(self) -> None:
        users = usage.users_of_image(self.target)
        if users:
            shown = ", ".join(users[:10]) + (" …" if len(users) > 10 else "")
            raise Refused(_("In use by %(names)s.") % {"names": shown})
        if self._has_file():
            working_host(self.target.pool, self.target.host_id)

    def _has_file(self) -> bool:
        if self.params.get("keep_file"):
            return False
        return self.target.state == ImageState.READY or self.target.is_stored

    def check(self, run: Run) -> None:
        if self._has_file():  # overlays that were made behind our back count too
            host = working_host(self.target.pool, self.target.host_id)
            volumes.look_again(self.target.pool, host)
        self.refuse()

    def run(self, run: Run) -> dict[str, Any]:
        image = self.target
        if self._has_file():
            host = working_host(image.pool, image.host_id)
            virsh = ["virsh", "-c", host.target.shown_uri]
            run.command(*virsh, "vol-delete", image.volume_name, "--pool", image.pool.name)
            volumes.delete_volume(image.pool, host, image.volume_name)
            sync.refresh_pool(image.pool, host)
        elif image.path and self.params.get("keep_file"):
            host = working_host(image.pool, image.host_id)
            inspection.protect(run, host, image.path, read_only=False)
        Image.objects.filter(pk=image.pk).delete()
        live.publish(f"image.{image.pk}", "images")
        return {"deleted_at": timezone.now().isoformat(), "kept_file": bool(self.params.get("keep_file"))}


@register
class EditImage(Operation):
    """params: os_name, description."""

    name = "storage.edit_image"
    verb = gettext_lazy("Edit image")
    permission = "storage.images"
    model = Image
    target_kind = "image"

    def run(self, run: Run) -> dict[str, Any]:
        values = {key: str(self.params.get(key, "")) for key in ("os_name", "description")}
        Image.objects.filter(pk=self.target.pk).update(**values)
        live.publish(f"image.{self.key()}", "images")
        return values
