"""A folder on each host. Not shared, unless the folder lies on a file system that all hosts mount themselves."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from storage.backends.base import Backend, SourceForm
from virt.xml.pool import PoolSpec


class DirBackend(Backend):
    kind = "dir"
    label = _("Folder on each host")
    summary = _("A folder of the host's own disk. VMs in it can move only by copying their disks.")
    libvirt_type = "dir"
    is_shared = False
    docs = "folder"
    form = SourceForm

    def spec(self, *, name: str, uuid: str, target_path: str, source: dict[str, Any]) -> PoolSpec:
        return PoolSpec(name=name, kind="dir", uuid=uuid, target_path=target_path)

    def recognise(self, spec: PoolSpec) -> dict[str, str] | None:
        return {} if spec.kind == "dir" else None

    def source_text(self, source: dict[str, Any]) -> str:
        return ""
