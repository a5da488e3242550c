"""An NFS export that libvirt mounts on each host (pool type netfs)."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from storage.backends.base import Backend, SourceForm, field_error
from virt import names
from virt.xml.devices import SourceHost
from virt.xml.pool import PoolSpec

VERSIONS = [("", _("what both sides agree on")), ("4.2", "4.2"), ("4.1", "4.1"), ("4", "4"), ("3", "3")]


class NfsForm(SourceForm):
    host = forms.CharField(label=_("Server"), max_length=253, help_text=_("Name or address, as the hosts reach it."))
    path = forms.CharField(label=_("Export"), max_length=1023, help_text=_("Such as /srv/vms."))
    version = forms.ChoiceField(label=_("NFS version"), choices=VERSIONS, required=False)

    def clean_host(self) -> str:
        try:
            return names.check_host_address(self.cleaned_data["host"].strip())
        except names.Refused as refused:
            raise field_error(refused) from refused

    def clean_path(self) -> str:
        try:
            return names.check_path(self.cleaned_data["path"].strip())
        except names.Refused as refused:
            raise field_error(refused) from refused


class NfsBackend(Backend):
    kind = "nfs"
    label = _("NFS")
    summary = _("An export of an NFS server, mounted by every host: VMs can move between them live.")
    libvirt_type = "netfs"
    is_shared = True
    programs = {"mount.nfs": "nfs-common"}
    port = 2049
    docs = "nfs"
    form = NfsForm
    can_search = True

    def spec(self, *, name: str, uuid: str, target_path: str, source: dict[str, Any]) -> PoolSpec:
        return PoolSpec(
            name=name,
            kind="netfs",
            uuid=uuid,
            target_path=target_path,
            source_format="nfs",
            hosts=(SourceHost(source["host"]),),
            source_dir=source["path"],
            protocol_version=source.get("version", ""),
        )

    def recognise(self, spec: PoolSpec) -> dict[str, str] | None:
        if spec.kind != "netfs" or spec.source_format not in {"", "auto", "nfs"} or not spec.hosts:
            return None
        found = {"host": spec.hosts[0].name, "path": spec.source_dir}
        return found | ({"version": spec.protocol_version} if spec.protocol_version else {})

    def offered(self, spec: PoolSpec) -> str:
        return spec.source_dir if spec.source_format in {"", "nfs"} else ""

    def source_text(self, source: dict[str, Any]) -> str:
        return f"{source.get('host', '')}:{source.get('path', '')}"
