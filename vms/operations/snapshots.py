"""Snapshots of a VM: take one, go back to it, delete it."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobs.errors import Failed, Refused, Text
from jobs.operations import register
from jobs.run import Run
from virt import guests, names, snapshots
from virt.connection import connect
from virt.xml.note import VmNote
from vms.checks import checked
from vms.models import Snapshot, Vm
from vms.operations.base import VmOperation
from vms.operations.law4 import ask_others
from vms.snapshots import why_none
from vms.states import ALIVE, STARTABLE, VmState

MOST_TEXT = 500


class SnapshotOperation(VmOperation):
    permission = "vms.snapshot"
    allowed_states = frozenset({VmState.RUNNING, VmState.PAUSED, VmState.BLOCKED}) | STARTABLE

    @property
    def snapshot_name(self) -> str:
        return str(self.params.get("name", ""))

    def found(self) -> Snapshot:
        """The one that is meant. Raises Refused."""
        snapshot = self.target.snapshots.filter(name=self.snapshot_name).first()
        if snapshot is None:
            raise Refused(_("It has no snapshot %(name)s (any more).") % {"name": self.snapshot_name}, field="name")
        return snapshot


@register
class TakeSnapshot(SnapshotOperation):
    """params: name, description (optional)."""

    name = "vms.snapshot"
    verb = gettext_lazy("Take a snapshot of")
    is_new = True  # its name is nobody's yet

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        return why_none(vm) or super().state_refusal(vm)

    def title(self) -> str:
        return _("Take snapshot %(name)s of %(vm)s") % {"name": self.snapshot_name, "vm": self.target}

    def refuse(self) -> None:
        name = checked(names.check_snapshot_name, self.snapshot_name.strip(), "name")
        text = checked(names.check_description, str(self.params.get("description") or "").strip(), "description")
        if len(text) > MOST_TEXT:
            raise Refused(_("At most %(n)s characters.") % {"n": MOST_TEXT}, field="description")
        if self.is_new and self.target.snapshots.filter(name=name).exists():
            raise Refused(_("It has a snapshot of this name already."), field="name")
        self.params = {"name": name, "description": text}

    def act(self, run: Run) -> dict[str, Any]:
        name, text = self.snapshot_name, str(self.params.get("description") or "")
        words = ["--description", text] if text else []
        self.virsh(run, "snapshot-create-as", str(self.target), name, *words)
        with connect(self.host().target) as conn:
            is_alive = guests.state_of(conn, self.uuid) in ALIVE
            if not (run.is_repeat and snapshots.exists(conn, self.uuid, name)):
                run.progress(None, _("Saving memory and disks") if is_alive else _("Saving the disks"))
                snapshots.take(conn, self.uuid, name, text)
        said = {"taken_at": timezone.now(), "made_by": run.job.user, "has_memory": is_alive}
        Snapshot.objects.get_or_create(vm=self.target, name=name, defaults=said)  # the rest is read from the host
        return {"name": name}


@register
class RenewSnapshot(TakeSnapshot):
    """params: name, description (optional). The one of this name that it has goes, and a new one is taken."""

    name = "vms.snapshot-renew"
    verb = gettext_lazy("Take a new snapshot of")
    is_new = False

    def act(self, run: Run) -> dict[str, Any]:
        name = self.snapshot_name
        if Snapshot.objects.filter(vm=self.target, name=name).exists():
            self.virsh(run, "snapshot-delete", str(self.target), name)
            with connect(self.host().target) as conn:
                snapshots.delete(conn, self.uuid, name)
            Snapshot.objects.filter(vm=self.target, name=name).delete()
        return super().act(run)


@register
class RevertSnapshot(SnapshotOperation):
    """params: name. What the VM had and did since then is lost; it runs afterwards if it ran when it was taken."""

    name = "vms.snapshot-revert"
    verb = gettext_lazy("Revert")

    def title(self) -> str:
        return _("Revert %(vm)s to %(name)s") % {"vm": self.target, "name": self.snapshot_name}

    def refuse(self) -> None:
        """What the VM will have again is noted, for quotas."""
        found = self.found()
        had = {"vcpus": found.vcpus, "memory_bytes": found.memory_bytes, "starts": found.has_memory}
        self.params = {"name": found.name, **had}

    def act(self, run: Run) -> dict[str, Any]:
        name, host = self.snapshot_name, self.host()
        if run.is_repeat and run.job.result.get("reverted"):
            return {"name": name}
        with connect(host.target) as conn:
            is_alive = guests.state_of(conn, self.uuid) in ALIVE
            is_there = snapshots.exists(conn, self.uuid, name)
        if not is_there:
            raise Failed(_("%(host)s has no snapshot %(name)s of it any more.") % {"host": host, "name": name})
        if not is_alive:  # it may run afterwards
            ask_others(run, self.target, self.params)
        self.virsh(run, "snapshot-revert", str(self.target), name, "--force")
        run.progress(None, _("Going back"))
        with connect(host.target) as conn:
            snapshots.revert(conn, self.uuid, name)
        run.keep(reverted=True)
        with connect(host.target) as conn:  # title and notes are those of today
            note = VmNote(owner=self.target.owner.username if self.target.owner else "")
            texts = {"title": self.target.title, "description": self.target.description}
            guests.set_texts(conn, self.uuid, note=note, **texts)
        return {"name": name}


@register
class DeleteSnapshot(SnapshotOperation):
    """params: name. Only it: those made after it stay."""

    name = "vms.snapshot-delete"
    verb = gettext_lazy("Delete a snapshot of")

    def title(self) -> str:
        return _("Delete snapshot %(name)s of %(vm)s") % {"name": self.snapshot_name, "vm": self.target}

    def refuse(self) -> None:
        self.params = {"name": self.found().name}

    def act(self, run: Run) -> dict[str, Any]:
        name = self.snapshot_name
        self.virsh(run, "snapshot-delete", str(self.target), name)
        with connect(self.host().target) as conn:
            was_there = snapshots.delete(conn, self.uuid, name)
        Snapshot.objects.filter(vm=self.target, name=name).delete()
        return {"name": name, "was_there": was_there}
