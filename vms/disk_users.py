"""Which VMs use a file: storage asks before it deletes one (storage.usage)."""

import json
from os.path import commonpath

from django.db.models import Q, QuerySet

from hosts.models import Host
from vms.models import Vm

FEW = 20


def names_by_path(paths: set[str], host: Host | None) -> dict[str, list[str]]:
    """Path -> names of the VMs that have it as a disk, in a drive, or below a disk (backing chain).

    host: only VMs there, for files that are other files elsewhere. VMs that are missing count too: absence is not
    deletion.
    """
    found: dict[str, list[str]] = {}
    rows = _maybe(paths)
    if host is not None:
        rows = rows.filter(Q(host=host) | Q(presences__host=host)).distinct()
    for name, hardware in rows.values_list("name", "hardware"):
        for disk in hardware.get("disks", []):
            for path in {disk.get("path"), disk.get("place"), *disk.get("backing", [])} & paths:
                if name not in found.setdefault(path, []):
                    found[path].append(name)
    return found


def _maybe(paths: set[str]) -> "QuerySet[Vm]":
    """VMs whose hardware may name one of the paths: the database looks at the text, so that few rows are read."""
    rows = Vm.objects.exclude(hardware={}).order_by("name")
    if not paths:
        return rows.none()
    if not all(path.isascii() and json.dumps(path) == f'"{path}"' for path in paths):
        return rows  # written with escapes, and not the same ones in every database
    if len(paths) > FEW:
        folder = commonpath(paths) if all(path.startswith("/") for path in paths) else ""
        return rows.filter(hardware__icontains=folder) if folder else rows
    wanted = Q()
    for path in paths:
        wanted |= Q(hardware__icontains=path)
    return rows.filter(wanted)
