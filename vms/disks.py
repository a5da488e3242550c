"""The disks of a VM and which of them may go with it. Database only."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from access.models import User
from access.rules import can
from storage.models import Image, Volume
from storage.volumes import locate
from vms.models import Vm


@dataclass(frozen=True)
class DiskOfVm:
    """One disk with its volume; reason says why it is never removed with the VM, "" if it may be."""

    target: str
    path: str
    size_bytes: int | None
    volume: Volume | None
    reason: str = ""

    @property
    def is_removable(self) -> bool:
        return not self.reason


def disks_of(vm: Vm, by: User | None = None) -> list[DiskOfVm]:
    """Its disks, without CD drives (ISOs belong to everybody). Reasons name another VM only to who sees it."""
    found = []
    for disk in vm.disks:
        path = str(disk.get("path") or "")
        if disk.get("device", "disk") != "disk" or not path:
            continue
        volume = locate(vm.host, path) if vm.host else None
        reason = "" if volume else _("It is in no pool that Drover knows.")
        reason = reason or why_it_stays(vm, path, volume, by)
        found.append(DiskOfVm(str(disk.get("target", "")), path, disk.get("capacity_bytes"), volume, reason))
    return found


def find_disk(vm: Vm, target: str) -> dict[str, Any] | None:
    """The disk (no CD drive) by its name in the VM, as it was observed."""
    named = (disk for disk in vm.disks if disk.get("target") == target)
    return next((disk for disk in named if disk.get("device", "disk") == "disk"), None)


def why_it_stays(vm: Vm, path: str, volume: Volume | None, by: User | None = None) -> str:
    """Why a file must not be removed with this VM: something else stands on it."""
    image = Image.objects.filter(path=path).first()
    if image is not None:
        return _("It is the image %(image)s.") % {"image": image}
    if Volume.objects.filter(backing_path=path, missing_since=None).filter(_same_storage(volume)).exists():
        return _("Other disks stand on it.")
    other = other_user(vm, path, volume)
    if other is None:
        return ""
    is_seen = by is not None and can(by, "vms.view", other)
    return _("%(vm)s uses it too.") % {"vm": other} if is_seen else _("Another VM uses it too.")


def _same_storage(volume: Volume | None) -> Q:
    """On a pool that is not shared the same path is another file on each host."""
    return Q() if volume is None or volume.host_id is None else Q(host=volume.host_id)


def other_user(vm: Vm, path: str, volume: Volume | None) -> Vm | None:
    """Another VM that has this very file, also below one of its disks."""
    others = Vm.objects.exclude(pk=vm.pk).filter(disk_files__path=path).only("name", "owner", "group")
    if volume is not None and volume.host_id is not None:
        others = others.filter(host=volume.host_id)
    return others.first()


def seed_paths(vm: Vm) -> list[str]:
    """The first-boot ISO that Drover made for this VM alone."""
    path = vm.first_boot.get("seed_path") or ""
    if not path or vm.host is None:
        return []
    return [path] if locate(vm.host, path) is not None and other_user(vm, path, None) is None else []
