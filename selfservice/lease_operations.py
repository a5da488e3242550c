"""The steps at the end of a lease, each a job: shut down, archive, delete. The clock asks for them (`leases.look`).

Each can run twice: it looks whether the request still is at the stage whose end it was asked for (params: deadline).
A step that fails is tried again later by the clock; the request stays at its stage until the step is done.
"""

from typing import Any, ClassVar

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobs.errors import Failed, Text
from jobs.models import Job
from jobs.operations import Operation, register
from jobs.run import Run
from jobs.states import State
from selfservice import lease_notices, terms
from selfservice.models import Request
from selfservice.states import LASTING, LEASED, RequestState, Step
from selfservice.steps import change, locked, vms_of
from selfservice.terms import Due, days
from vms.models import Vm
from vms.operations.delete import DeleteVm
from vms.operations.off import SwitchOffVm
from vms.states import ALIVE

S = RequestState


class LeaseStep(Operation):
    """One step of the lease of a request. params: deadline, as `stamp` writes it."""

    permission = "selfservice.offer"
    model = Request
    target_kind = "request"
    stages: ClassVar[frozenset[RequestState]]

    target: Request

    @classmethod
    def refusal(cls, user: Any, target: Any) -> Text | None:
        """Nobody asks for it: the clock does, or giving back."""
        return _("You have no right to do this.")

    def title(self) -> str:
        words = {"verb": self.verb, "what": self.target.pattern, "who": self.target.asker, "n": self.target.pk}
        return _("%(verb)s: %(what)s of %(who)s (request %(n)s)") % words

    def is_due(self, row: Request) -> bool:
        """Whether the row is still at the stage whose end this job was asked for."""
        return row.state in self.stages and row.pinned_at is None and stamp(row) == self.params.get("deadline")

    def run(self, run: Run) -> dict[str, Any] | None:
        with transaction.atomic():
            row = locked(self.target)
            if not self.is_due(row):
                return {"skipped": True}
            self.prepare(row)
        begun = set(Job.objects.filter(parent=run.job).values_list("operation", "target_key"))
        for vm in vms_of(row):
            for part in self.parts(vm):
                if (part.name, str(vm.uuid)) not in begun:
                    run.child(part)
        return run.wait_for_children()

    def prepare(self, row: Request) -> None:
        """What is kept before anything is changed."""

    def parts(self, vm: Vm) -> list[Operation]:
        return [SwitchOffVm(vm)]

    def children_ended(self, run: Run) -> dict[str, Any] | None:
        with transaction.atomic():
            row = locked(self.target)
            if not self.is_due(row):
                return None  # changed meanwhile, or all of it is deleted
            if run.job.children.exclude(state=State.SUCCEEDED).exists():
                return None  # the job fails by that, and is tried again
            if running := [vm.name for vm in vms_of(row).filter(observed_state__in=ALIVE)]:
                raise Failed(_("Still running: %(vms)s.") % {"vms": ", ".join(running)})
            self.done(row)
        return None

    def done(self, row: Request) -> None:
        raise TypeError(f"{type(self).__name__} does not say what follows")


def stamp(row: Request) -> str:
    """The end of a row's present stage, or when it was given back."""
    found = row.returned_at or terms.deadline(row)
    return found.isoformat() if found else ""


@register
class EndLease(LeaseStep):
    """Its VMs are shut down, forced off if they don't obey, and no longer start with their hosts."""

    name = "selfservice.end"
    verb = gettext_lazy("End of the lease")
    stages = LEASED

    def prepare(self, row: Request) -> None:
        with_host = {str(vm.uuid) for vm in vms_of(row).filter(autostart=True)}
        row.autostarts = sorted({*row.autostarts, *with_host})
        row.save(update_fields=["autostarts"])

    def done(self, row: Request) -> None:
        enter(row, S.EXPIRED, Step.ENDED, settings.LEASE_GRACE_DAYS)
        lease_notices.ended(row)


@register
class ArchiveLease(LeaseStep):
    """Definition and disks are kept; the VMs have no addresses, and count in quotas with their disks only."""

    name = "selfservice.archive"
    verb = gettext_lazy("Archive")
    stages = frozenset({S.EXPIRED})

    def parts(self, vm: Vm) -> list[Operation]:
        """Only somebody on its host can have started it."""
        return [SwitchOffVm(vm)] if vm.observed_state in ALIVE or vm.autostart else []

    def done(self, row: Request) -> None:
        vms_of(row).update(addresses=[], address="")
        enter(row, S.ARCHIVED, Step.ARCHIVED, settings.LEASE_ARCHIVE_DAYS)
        lease_notices.archived(row)


@register
class DeleteLease(LeaseStep):
    """The VMs with their disks; when the last is gone the request is deleted (`gone`)."""

    name = "selfservice.delete"
    verb = gettext_lazy("Delete")
    stages = LASTING

    def is_due(self, row: Request) -> bool:
        return super().is_due(row) and (row.returned_at is not None or row.state == S.ARCHIVED)

    def parts(self, vm: Vm) -> list[Operation]:
        """In this order: both hold the VM while they run."""
        off: list[Operation] = [SwitchOffVm(vm)] if vm.observed_state in ALIVE else []
        return [*off, DeleteVm(vm, {"disks": "own"})]

    def done(self, row: Request) -> None:
        """Nothing: that its last VM was deleted has done it."""


def enter(row: Request, to: RequestState, step: Step, stage_days: float) -> None:
    """The next stage begins now, however late that is, and lasts its full time."""
    now = timezone.now()
    columns: dict[str, Any] = {"stage_until": now + days(stage_days), "warned_days": None}
    draft = Request(state=to, longer_at=row.longer_at, **columns)
    columns["next_at"] = terms.next_at(draft)
    change(row, to, step, by=None, **columns)
    row.refresh_from_db()


STEPS: dict[Due, type[LeaseStep]] = {Due.END: EndLease, Due.ARCHIVE: ArchiveLease, Due.DELETE: DeleteLease}
