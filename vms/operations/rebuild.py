"""Making a VM anew from its image: same name, size and addresses, a fresh disk, its first boot once more."""

from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from jobs.errors import Failed, Refused, Text
from jobs.operations import register
from jobs.run import Run
from storage import volumes
from storage.models import Image, ImageState, PoolOnHost, Volume
from virt import guests, snapshots
from virt.connection import connect
from virt.errors import VirtError
from virt.xml import update
from virt.xml.devices import FileSource
from vms.disks import why_it_stays
from vms.models import Vm
from vms.operations.base import VmOperation
from vms.operations.law4 import ask_others
from vms.states import ALIVE, STARTABLE, VmState


class Parts(NamedTuple):
    """What it is made of: the disk that goes, its volume, and the image."""

    disk: dict[str, Any]
    volume: Volume
    image: Image
    host: Host


def parts_of(vm: Vm) -> Parts:
    """Raises Refused with the reason why it can't be made anew. Database only."""
    if vm.image is None:
        raise Refused(_("It can't be made anew: the image it was made from is not known."))
    if vm.host is None:
        raise Refused(_("No host holds it any more."))
    if vm.image.state != ImageState.READY or not _has_image(vm.host, vm.image):
        raise Refused(_("The image %(image)s is not there.") % {"image": vm.image})
    disks = [disk for disk in vm.disks if disk.get("device", "disk") == "disk"]
    volume = volumes.locate(vm.host, disks[0].get("path") or "") if disks else None
    if volume is None:
        raise Refused(_("Its disk is in no pool that Drover knows."))
    if len(disks) > 1 and vm.snapshots.exists():
        raise Refused(_("It has several disks, and snapshots of them together: delete the snapshots first."))
    seed = vm.first_boot.get("seed_path") or ""
    if vm.first_boot and (not seed or seed not in {disk.get("path") for disk in vm.disks}):
        raise Refused(_("Its first-boot settings are not in its drive any more."))
    return Parts(disks[0], volume, vm.image, vm.host)


def _has_image(host: Host, image: Image) -> bool:
    there = PoolOnHost.objects.filter(pool=image.pool, host=host).first()
    return there is not None and there.is_usable


@register
class RebuildVm(VmOperation):
    """Its old disk goes when the new one is in use; until then a failure leaves the VM as it was. Snapshots go too."""

    name = "vms.rebuild"
    verb = gettext_lazy("Rebuild")
    permission = "vms.rebuild"
    allowed_states = frozenset({VmState.RUNNING, VmState.PAUSED, VmState.BLOCKED, VmState.CRASHED}) | STARTABLE

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        if reason := super().state_refusal(vm):
            return reason
        if not vm.is_persistent:
            return _("Not possible: no host keeps its definition.")
        try:
            parts_of(vm)
        except Refused as refused:
            return refused.message
        return None

    def act(self, run: Run) -> dict[str, Any]:
        if "old" not in run.job.result:
            self.note_facts(run)
        facts, parts = run.job.result, self.parts(run)
        is_done = False
        try:
            self.replace(run, parts, facts)
            is_done = True
        finally:
            if not is_done:
                self.put_back(run, parts, facts)
        self.tidy_up(run, parts, facts)
        return {}

    def note_facts(self, run: Run) -> None:
        parts = parts_of(self.target)
        with connect(parts.host.target) as conn:
            is_alive = guests.state_of(conn, self.uuid) in ALIVE
        new = f"{self.target.name}-{self.uuid[:8]}-{run.job.pk}.qcow2"
        run.keep(old=parts.disk["path"], disk=parts.disk["target"], new=new, was_alive=is_alive)

    def parts(self, run: Run) -> Parts:
        """Also after the definition says the new disk: what was noted at the beginning."""
        host, image = self.host(), self.target.image
        volume = volumes.locate(host, run.job.result["old"]) or volumes.locate(host, run.job.result.get("path", ""))
        if image is None or volume is None:
            raise Failed(_("Its image or its disk is gone."))
        disk = next(disk for disk in self.target.disks if disk.get("target") == run.job.result["disk"])
        return Parts(disk, volume, image, host)

    def replace(self, run: Run, parts: Parts, facts: dict[str, Any]) -> None:
        run.progress(10, _("Making the new disk"))
        size = int(parts.disk.get("capacity_bytes") or 0)
        path = volumes.create_overlay(run, parts.volume.pool, parts.host, parts.image, facts["new"], size)
        run.keep(path=path)
        with connect(parts.host.target) as conn:
            is_alive = guests.state_of(conn, self.uuid) in ALIVE
            if is_alive and self.disk_now(conn, facts["disk"]) != path:
                run.progress(40, _("Switching it off"))
                self.virsh(run, "destroy", str(self.target))
                guests.destroy(conn, self.uuid)
                is_alive = False
            if not is_alive:
                run.progress(60, _("Giving it the new disk"))
                self.virsh(run, "define", "--validate", f"{self.target}.xml")
                self.define_with(conn, facts["disk"], path)
                guests.drop_saved_state(conn, self.uuid)
        if facts["was_alive"] and not is_alive:
            self.start(run, parts.host)

    def start(self, run: Run, host: Host) -> None:
        """It ran here until this job switched it off; only after a dead worker somebody else may have come between."""
        if run.is_repeat:
            ask_others(run, self.target, self.params)
        run.progress(80, _("Starting"))
        self.virsh(run, "start", str(self.target))
        with connect(host.target) as conn:
            guests.start(conn, self.uuid)

    def disk_now(self, conn: Any, disk: str) -> str:
        return guests.disk_path(conn, self.uuid, disk)

    def define_with(self, conn: Any, disk: str, path: str) -> None:
        xml = guests.definition(conn, self.uuid)
        guests.define(conn, update.set_disk_source(xml, disk, FileSource(path)))

    def put_back(self, run: Run, parts: Parts, facts: dict[str, Any]) -> None:
        """As it was: the old disk, and running if it ran."""
        run.progress(None, _("Putting it back as it was"))
        try:
            with connect(parts.host.target) as conn:
                is_alive = guests.state_of(conn, self.uuid) in ALIVE
                if not is_alive and self.disk_now(conn, facts["disk"]) != facts["old"]:
                    self.define_with(conn, facts["disk"], facts["old"])
            volumes.delete_volume(parts.volume.pool, parts.host, facts["new"])
            if not is_alive and facts["was_alive"]:
                self.start(run, parts.host)
        except VirtError as error:
            words = _("It is not quite as it was (%(why)s). Its old disk %(path)s is still there.")
            run.warn(words % {"why": error.message, "path": facts["old"]})
            return
        run.log(_("It is as it was before."))

    def tidy_up(self, run: Run, parts: Parts, facts: dict[str, Any]) -> None:
        """What stood on the old disk goes with it."""
        run.progress(90, _("Removing the old disk"))
        with connect(parts.host.target) as conn:
            snapshots.forget_all(conn, self.uuid)
        self.refresh()
        old = volumes.locate(parts.host, facts["old"])
        if old is None:
            return
        if reason := why_it_stays(self.target, old.path, old):
            run.warn(_("The old disk %(path)s stays: %(why)s") % {"path": old.path, "why": reason})
            return
        self.virsh(run, "vol-delete", old.name, "--pool", old.pool.name)
        try:
            volumes.delete_volume(old.pool, parts.host, old.name)
        except VirtError as error:
            run.warn(
                _("The old disk %(path)s could not be removed: %(why)s") % {"path": old.path, "why": error.message}
            )
