"""What libvirt leaves to others when a VM with UEFI moves: the file with its firmware's variables.

Live, the content travels with the memory and the old file stays behind. Offline, nothing travels at all.
"""

from django.utils.translation import gettext as _

from hosts.models import Host
from jobs.run import Run
from virt import firmware
from virt.errors import VirtError
from vms.destinations import OFFLINE
from vms.models import Vm


class FirmwareMove:
    """What `Migration` asks around a move; nothing to do for a VM with BIOS."""

    def __init__(self, vm: Vm, source: Host, destination: Host, mode: str) -> None:
        self.source, self.destination, self.is_offline = source, destination, mode == OFFLINE
        has_ssh = source.has_ssh and destination.has_ssh
        self.path = firmware.variables_path(vm.live_definition or vm.definition, vm.name) if has_ssh else ""

    def prepare(self, run: Run) -> None:
        """Bring the variables of a VM that is off. Raises VirtError."""
        if not (self.path and self.is_offline):
            return
        here = firmware.inode(self.source.target, self.path)
        if not here or here == firmware.inode(self.destination.target, self.path):
            return
        run.command(f"ssh {self._login(self.source)} cat {self.path} | ssh {self._login(self.destination)} "
                    f"'cat > {self.path}'")  # fmt: skip
        firmware.copy(self.source.target, self.destination.target, self.path)
        run.keep(variables=self.path)
        run.log(_("Copied the firmware's variables to %(host)s.") % {"host": self.destination})

    def finish(self, run: Run) -> None:
        """After a move: remove the file that stayed behind, unless both hosts look at the same one."""
        if self.path:
            self._remove(run, self.source, self.destination)

    def undo(self, run: Run) -> None:
        """After a move that did not happen: remove what was brought."""
        if run.job.result.get("variables") == self.path != "":
            self._remove(run, self.destination, self.source)

    def _remove(self, run: Run, host: Host, other: Host) -> None:
        try:
            old, kept = firmware.inode(host.target, self.path), firmware.inode(other.target, self.path)
            if old and kept and old != kept:
                run.command(f"ssh {self._login(host)} rm {self.path}")
                firmware.remove(host.target, self.path)
        except VirtError as error:
            text = _("%(name)s is still on %(host)s: %(why)s")
            run.warn(text % {"name": self.path, "host": host, "why": error.message})

    @staticmethod
    def _login(host: Host) -> str:
        return f"{host.username}@{host.address or host.name}"
