"""Which VMs can have snapshots, and what else snapshots stand in the way of. Database only."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobs.errors import Text
from vms.models import Vm


def why_none(vm: Vm) -> Text | None:
    """Why no snapshot can be taken of this VM, whatever its state; None if it can."""
    if not vm.is_persistent:
        return _("Not possible: no host keeps its definition.")
    if vm.hardware.get("firmware") == "uefi":
        return _("Its firmware is UEFI: libvirt can't keep that in a snapshot.")
    disks = [disk for disk in vm.disks if disk.get("device", "disk") == "disk" and not disk.get("readonly")]
    if not disks:
        return _("It has no disk to keep a snapshot in.")
    for disk in disks:
        if disk.get("format") not in {"qcow2", "", None}:
            words = {"disk": disk.get("target", ""), "format": disk["format"]}
            return _("Its disk %(disk)s is %(format)s: only qcow2 can keep snapshots.") % words
    return None


def in_the_way(vm: Vm) -> Text | None:
    """Why a VM that has snapshots can't leave its host: libvirt refuses it."""
    number = vm.snapshots.count()
    if not number:
        return None
    words = ngettext(
        "It has %(n)s snapshot, which can't move with it: delete it first.",
        "It has %(n)s snapshots, which can't move with it: delete them first.",
        number,
    )
    return words % {"n": number}
