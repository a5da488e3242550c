"""Images that are there: describe and delete."""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobs.errors import Failed, Refused
from jobs.operations import Operation, register
from jobs.run import Run
from storage import inspection, naming, sync, usage, volumes
from storage.models import Image, ImageState
from storage.operations.volumes import working_host
from ui import live

EDITABLE = ("name", "version", "os_name", "description")
TAKEN = gettext_lazy("There is an image with this name and version already.")


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
    """params: those of EDITABLE that change. The file keeps its name: VMs stand on it."""

    name = "storage.edit_image"
    verb = gettext_lazy("Edit image")
    permission = "storage.images"
    model = Image
    target_kind = "image"

    def values(self) -> dict[str, str]:
        """Raises Refused for a name that can't be."""
        values = {key: str(self.params[key]) for key in EDITABLE if key in self.params}
        for key, longest in (("name", 64), ("version", 40)):
            if key in values:
                values[key] = naming.check_word(values[key], key, longest)
        return values

    def refuse(self) -> None:
        values = self.values()
        name, version = values.get("name", self.target.name), values.get("version", self.target.version)
        if Image.objects.filter(name=name, version=version).exclude(pk=self.target.pk).exists():
            raise Refused(TAKEN, field="version")

    def run(self, run: Run) -> dict[str, Any]:
        """Raises Failed if another image took the name meanwhile."""
        values = self.values()
        for key, value in values.items():
            if value != getattr(self.target, key):
                run.log(f"{key}: {getattr(self.target, key)} → {value}")
        try:
            with transaction.atomic():
                Image.objects.filter(pk=self.target.pk).update(**values)
        except IntegrityError as error:
            raise Failed(TAKEN) from error
        live.publish(f"image.{self.key()}", "images")
        return values
