"""What all operations on one VM share: which host, why not now, holding the VM while working, making the row true."""

from typing import Any, ClassVar

from django.utils.translation import gettext as _

from access.models import User
from hosts.models import Host
from jobs.discretion import shown
from jobs.errors import Refused, Text
from jobs.operations import Operation
from jobs.run import Run
from ui import live
from virt.errors import VirtError
from vms import sync
from vms.models import Vm
from vms.states import VmState


def busy(vm: Vm) -> Text | None:
    """Why a VM can't be changed while a job works on it, or None."""
    if vm.job_id is None or vm.job is None or not vm.job.is_active:
        return None
    return _("Busy: %(job)s.") % {"job": vm.job.title}


def no_answer(vm: Vm) -> Text | None:
    """Why nobody can be asked to change this VM, or None."""
    if vm.observed_state == VmState.CREATING:
        return _("It is being made.")
    if vm.host is None or vm.missing_since is not None:
        return _("No host holds it any more.")
    if not vm.host.is_up:
        return _("%(host)s, where it is, does not answer.") % {"host": vm.host}
    return None


def publish(vm: Vm) -> None:
    live.publish(f"vm.{vm.uuid}", "vms")


class VmOperation(Operation):
    """An operation on one VM on its host. Subclasses say `act(run)` instead of `run(run)`."""

    permission: ClassVar[str] = "vms.power"
    model = Vm
    target_kind = "vm"
    bulk: ClassVar[bool] = False  # offered for many VMs at once
    twice_is_no: ClassVar[bool] = True  # refused for a VM that is alive on two hosts

    target: Vm

    @classmethod
    def refusal(cls, user: User, target: Any) -> Text | None:
        if not cls.allowed_to(user, target):
            return _("You have no right to do this.")
        reason = busy(target) or cls.state_refusal(target)
        return shown(user, reason) if reason else None

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        """Why not in the VM's present state, whoever asks."""
        if reason := no_answer(vm):
            return reason
        if vm.is_duplicate and cls.twice_is_no:
            return _("It runs on two hosts at once: force it off on one of them first.")
        if cls.allowed_states is not None and vm.state not in cls.allowed_states:
            return _("Not possible while it is %(state)s.") % {"state": vm.get_state_display()}
        return None

    def host(self) -> Host:
        """Where the VM is. Only for operations whose state_refusal asks for a host that answers."""
        if self.target.host is None:
            raise Refused(_("No host holds it any more."))
        return self.target.host

    @property
    def uuid(self) -> str:
        return str(self.target.uuid)

    def check(self, run: Run) -> None:
        """The state may have changed while the job waited. A repeated run finds its own half-done work instead."""
        if not run.is_repeat and (reason := self.state_refusal(self.target)):
            raise Refused(reason)

    def run(self, run: Run) -> dict[str, Any] | None:
        self.hold(run)
        try:
            return self.act(run)
        finally:
            self.release(run)

    def act(self, run: Run) -> dict[str, Any] | None:
        """Do it; may be called again after an interruption."""
        raise TypeError(f"{type(self).__name__} does not say what it does")

    def hold(self, run: Run) -> None:
        """Say on the VM that this job works on it."""
        Vm.objects.filter(pk=self.target.pk).update(job=run.job)
        publish(self.target)

    def release(self, run: Run) -> None:
        """Make the row true and let go."""
        self.refresh()
        Vm.objects.filter(pk=self.target.pk, job=run.job).update(job=None)
        publish(self.target)

    def failed(self, run: Run) -> None:
        if Vm.objects.filter(pk=self.target.pk, job=run.job).update(job=None):
            publish(self.target)

    def refresh(self) -> None:
        """Read the VM from its host into its row now; a host that does not answer is the watch's business."""
        if self.target.host is not None:
            self.refresh_on(self.target.host)

    def refresh_on(self, host: Host) -> None:
        try:
            sync.refresh_vm(host, self.uuid)
        except VirtError:
            return

    def virsh(self, run: Run, *words: str) -> None:
        """Note the virsh command that does the same (law 7)."""
        run.command("virsh", "-c", self.host().target.shown_uri, *words)
