"""Which VMs use a file: storage asks before it deletes one (storage.usage)."""

from collections.abc import Iterator

from django.db.models import Q

from hosts.models import Host
from vms.models import DiskFile

AT_ONCE = 500


def names_by_path(paths: set[str], host: Host | None, is_written: bool) -> dict[str, list[str]]:
    """Path -> names of the VMs that have it as a disk, in a drive, or below a disk (backing chain).

    host: only VMs there, for files that are other files elsewhere. VMs that are missing count too: absence is not
    deletion. is_written: only VMs that write to it.
    """
    found: dict[str, list[str]] = {}
    for some in _portions(sorted(paths)):
        rows = DiskFile.objects.filter(path__in=some)
        if is_written:
            rows = rows.filter(is_written=True)
        if host is not None:
            rows = rows.filter(Q(vm__host=host) | Q(vm__presences__host=host))
        for path, name in rows.order_by("vm__name").values_list("path", "vm__name"):
            if name not in found.setdefault(path, []):
                found[path].append(name)
    return found


def _portions(paths: list[str]) -> Iterator[list[str]]:
    """A database takes only so many parameters at once."""
    for first in range(0, len(paths), AT_ONCE):
        yield paths[first : first + AT_ONCE]
