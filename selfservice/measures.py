"""What quotas count, and amounts of it."""

from typing import NamedTuple, Self

from django.utils.translation import gettext_lazy as _

from ui import text
from ui.text import Text


class Amount(NamedTuple):
    """So much of each measure: of one VM, of all somebody has, or of what is asked for."""

    vms: int = 0
    running_vms: int = 0
    vcpus: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    snapshots: int = 0

    def plus(self, other: Self) -> "Amount":
        return Amount(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


MEASURES = Amount._fields
LABELS: dict[str, Text] = {
    "vms": _("VMs"),
    "running_vms": _("Running VMs"),
    "vcpus": _("vCPUs"),
    "memory_bytes": _("Memory"),
    "disk_bytes": _("Disks"),
    "snapshots": _("Snapshots"),
}


def shown(measure: str, value: int) -> str:
    return text.size(value) if measure.endswith("_bytes") else text.number(value)
