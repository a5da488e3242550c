"""The files around a migration with disk copy: what libvirt does not carry over, and what must not be left behind.

libvirt copies the content of writable disks and makes their files at the destination. Drives (a seed, an ISO) must be
there already, and nothing is removed: neither the old files after success, nor the new ones after a failure.
"""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hosts.models import Host
from jobs.errors import Refused
from jobs.run import Run
from storage import volumes
from storage.models import Pool
from virt import streams
from virt.connection import connect
from virt.errors import VirtError
from vms.destinations import pool_of, pools_of
from vms.models import Vm

SMALL_BYTES = 32 * 1024**2  # a seed, not an installation medium


@dataclass(frozen=True)
class CopiedFile:
    """A file of the VM in a pool that each host has for itself."""

    pool: Pool
    name: str
    is_drive: bool


class DiskCopy:
    """What `Migration` asks around a copying move."""

    def __init__(self, vm: Vm, source: Host, destination: Host) -> None:
        self.vm, self.source, self.destination = vm, source, destination
        pools = pools_of(source)
        self.files: list[CopiedFile] = []
        for disk in vm.disks:
            path = disk.get("path") or ""
            presence = pool_of(path, pools) if path else None
            if presence is None or presence.pool.is_shared:
                continue
            is_drive = disk.get("device", "disk") != "disk" or bool(disk.get("readonly"))
            self.files.append(CopiedFile(presence.pool, path.rpartition("/")[2], is_drive))

    def prepare(self, run: Run) -> None:
        """Note what is not at the destination yet, and bring the small files there. Raises Refused for a large one."""
        missing = [one for one in self.files if not volumes.volume_exists(one.pool, self.destination, one.name)]
        taken = [one.name for one in self.files if one not in missing and not one.is_drive]
        if taken:
            text = _("%(host)s already has a file %(name)s in that pool; rename or remove it first.")
            raise Refused(text % {"host": self.destination, "name": taken[0]})
        drives = [(one, self._content(one)) for one in missing if one.is_drive]
        run.keep(made=[one.name for one in missing])
        for one, content in drives:
            volumes.upload_bytes(one.pool, self.destination, one.name, content)
            run.log(_("Copied %(name)s to %(host)s.") % {"name": one.name, "host": self.destination})

    def _content(self, one: CopiedFile) -> bytes:
        with connect(self.source.target) as connection:
            content = streams.read_head(connection, one.pool.name, one.name, SMALL_BYTES + 1)
        if len(content) > SMALL_BYTES:
            text = _("%(name)s in its drive is not on %(host)s: put it there first, or take it out of the drive.")
            raise Refused(text % {"name": one.name, "host": self.destination})
        return content

    def undo(self, run: Run) -> None:
        """After a move that did not happen: remove what was made at the destination."""
        self._remove(run, self.destination, [one for one in self.files if one.name in self._made(run)])

    def finish(self, run: Run) -> None:
        """After a move: remove the old copies. A drive's file that the destination had before stays on both."""
        made = self._made(run)
        self._remove(run, self.source, [one for one in self.files if not one.is_drive or one.name in made])
        for pool in {one.pool for one in self.files}:
            volumes.look_again(pool, self.destination)

    @staticmethod
    def _made(run: Run) -> list[Any]:
        return list(run.job.result.get("made", []))

    def _remove(self, run: Run, host: Host, files: list[CopiedFile]) -> None:
        for one in files:
            try:
                if volumes.delete_volume(one.pool, host, one.name):
                    run.log(_("Removed %(name)s on %(host)s.") % {"name": one.name, "host": host})
            except VirtError as error:
                text = _("%(name)s is still on %(host)s: %(why)s")
                run.warn(text % {"name": one.name, "host": host, "why": error.message})
