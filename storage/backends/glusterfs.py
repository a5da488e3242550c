"""A Gluster volume that libvirt mounts on each host by FUSE (pool type netfs, format glusterfs).

Not libvirt's pool type gluster (libgfapi): that one can neither create nor upload volumes and needs ten seconds for
every close. libvirt knows fuse.glusterfs as a shared file system, so live migration needs no "unsafe".
"""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from storage.backends.base import Backend, SourceForm, field_error
from virt import names
from virt.xml.devices import SourceHost
from virt.xml.pool import PoolSpec


class GlusterfsForm(SourceForm):
    host = forms.CharField(
        label=_("Server"), max_length=253, help_text=_("One of the Gluster servers; it names the others to the hosts.")
    )
    path = forms.CharField(label=_("Volume"), max_length=1023, help_text=_("Such as vms, or vms/folder for a part."))

    def clean_host(self) -> str:
        try:
            return names.check_host_address(self.cleaned_data["host"].strip())
        except names.Refused as refused:
            raise field_error(refused) from refused

    def clean_path(self) -> str:
        path = self.cleaned_data["path"].strip().strip("/")
        try:
            return names.check_source_dir(path)
        except names.Refused as refused:
            raise field_error(refused) from refused


class GlusterfsBackend(Backend):
    kind = "glusterfs"
    label = _("Gluster")
    summary = _("A Gluster volume, mounted by every host: VMs can move between them live.")
    libvirt_type = "netfs"
    is_shared = True
    programs = {"mount.glusterfs": "glusterfs-client"}
    port = 24007
    docs = "gluster"
    form = GlusterfsForm

    def spec(self, *, name: str, uuid: str, target_path: str, source: dict[str, Any]) -> PoolSpec:
        return PoolSpec(
            name=name,
            kind="netfs",
            uuid=uuid,
            target_path=target_path,
            source_format="glusterfs",
            hosts=(SourceHost(source["host"]),),
            source_dir=source["path"],
        )

    def recognise(self, spec: PoolSpec) -> dict[str, str] | None:
        if spec.kind != "netfs" or spec.source_format != "glusterfs" or not spec.hosts:
            return None
        return {"host": spec.hosts[0].name, "path": spec.source_dir.strip("/")}

    def source_text(self, source: dict[str, Any]) -> str:
        return f"{source.get('host', '')}:{source.get('path', '')}"
