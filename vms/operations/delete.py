"""Deleting VMs, with the disks a person named, and forgetting the records of missing ones."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts import metrics
from hosts.models import Host
from jobs.errors import Failed, Refused, Text
from jobs.operations import register
from jobs.run import Run
from storage import volumes
from virt import guests
from virt.connection import connect
from virt.errors import VirtError
from vms.disks import DiskOfVm, disks_of, seed_paths
from vms.models import Presence, Tag, Vm
from vms.operations.base import VmOperation, busy
from vms.operations.law4 import ask_hosts, could_run_on
from vms.states import STARTABLE, VmState


def remove_volumes(run: Run, host: Host, paths: list[str]) -> list[str]:
    """Delete these volumes on a host; returns what was really there. Raises Failed naming what stays."""
    removed, left, technical = [], [], ""
    for path in paths:
        volume = volumes.locate(host, path)
        if volume is None:
            left.append(path)
            continue
        run.command("virsh", "-c", host.target.shown_uri, "vol-delete", volume.name, "--pool", volume.pool.name)
        try:
            if volumes.delete_volume(volume.pool, host, volume.name):
                removed.append(path)
        except VirtError as error:
            left.append(path)
            technical = error.technical
    if left:
        raise Failed(
            _("These files could not be removed and are still on %(host)s: %(paths)s")
            % {"host": host, "paths": ", ".join(left)},
            technical,
        )
    return removed


def drop_row(vm: Vm) -> None:
    """Remove all that Drover knows of a VM. Its jobs stay: they are the audit trail."""
    uuid = str(vm.uuid)
    vm.delete()
    Tag.objects.filter(vms=None).delete()
    metrics.forget("vm", uuid)


@register
class DeleteVm(VmOperation):
    """params: disks: the paths to remove with it, or "own" for every disk that is its alone.

    Images, backing files, shared ISOs and disks of other VMs are never removed; its seed always is.
    """

    name = "vms.delete"
    removes_target = True
    verb = gettext_lazy("Delete")
    permission = "vms.delete"
    allowed_states = STARTABLE
    bulk = True

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        reason = super().state_refusal(vm)
        if reason is not None and vm.is_alive:
            return _("It is %(state)s: shut it down or force it off first.") % {"state": vm.get_state_display()}
        return reason

    def wanted(self) -> list[DiskOfVm]:
        disks = disks_of(self.target)
        asked = self.params.get("disks") or []
        if asked == "own":
            return [disk for disk in disks if disk.is_removable]
        return [disk for disk in disks if disk.path in asked]

    def refuse(self) -> None:
        asked = self.params.get("disks") or []
        if asked != "own" and not (isinstance(asked, list) and all(isinstance(path, str) for path in asked)):
            raise Refused(_("Name the disks one by one."), field="disks")
        wanted = self.wanted()
        unknown = set() if asked == "own" else set(asked) - {disk.path for disk in wanted}
        if unknown:
            raise Refused(_("It has no disk %(path)s.") % {"path": sorted(unknown)[0]}, field="disks")
        for disk in wanted:
            if not disk.is_removable:
                raise Refused(f"{disk.path}: {disk.reason}", field="disks")

    def check(self, run: Run) -> None:
        super().check(run)
        answers = ask_hosts(self.target, could_run_on(self.target))
        if answers.running_on:
            where = ", ".join(str(host) for host in answers.running_on)
            raise Refused(_("%(vm)s runs on %(hosts)s.") % {"vm": self.target, "hosts": where})
        silent = {host.pk for host in answers.silent}
        holds = Presence.objects.filter(vm=self.target, host__in=silent, missing_since=None).select_related("host")
        if holds:
            names = ", ".join(str(presence.host) for presence in holds)
            raise Refused(_("%(hosts)s also holds it and does not answer now.") % {"hosts": names})

    def act(self, run: Run) -> dict[str, Any]:
        host = self.host()
        paths = run.job.result.get("paths")  # asked before the domain went: afterwards nobody remembers
        if paths is None:
            paths = [disk.path for disk in self.wanted()] + seed_paths(self.target)
            run.keep(paths=paths)
        run.progress(20, _("Removing its definition"))
        for holder in self.holders():
            run.command(
                "virsh", "-c", holder.target.shown_uri, "undefine", str(self.target), "--managed-save", "--nvram"
            )
            with connect(holder.target) as conn:
                guests.undefine(conn, self.uuid)
        run.progress(60, _("Removing its disks"))
        try:
            removed = remove_volumes(run, host, list(paths))
        except Failed:  # no host holds it any more; the job names the disks that stay
            drop_row(self.target)
            raise
        drop_row(self.target)
        return {"removed": removed}

    def holders(self) -> list[Host]:
        """Its host and every other that keeps a definition of it."""
        rows = Presence.objects.filter(vm=self.target, missing_since=None).select_related("host")
        hosts = {presence.host_id: presence.host for presence in rows}
        return list({self.host().pk: self.host(), **hosts}.values())


@register
class ForgetVm(VmOperation):
    """Remove the record of a VM that no host holds. Touches no host: its disks stay where they are."""

    name = "vms.forget"
    removes_target = True
    verb = gettext_lazy("Forget")
    permission = "vms.delete"
    bulk = True

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        if vm.observed_state == VmState.CREATING and busy(vm) is None and vm.seen_at is None:
            return None
        if vm.host is not None and vm.missing_since is None:
            return _("%(host)s holds it: delete it there instead.") % {"host": vm.host}
        return None

    def act(self, run: Run) -> None:
        drop_row(self.target)
