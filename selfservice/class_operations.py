"""What is done to a class as a whole: its VMs are made, its end is set, it is given back.

Starting, shutting down and resetting its VMs are jobs on many VMs as any other (vms.operations.bulk).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from access.rules import can
from jobs.engine import enqueue
from jobs.errors import Failed, Refused, Text
from jobs.models import Job
from jobs.operations import Lock, Operation, register
from jobs.run import Run
from jobs.states import ACTIVE
from notices.tell import tell
from selfservice import deciding, leases, terms
from selfservice.models import LabClass, Request
from selfservice.operations import BuildRequest
from selfservice.states import BUSY, LASTING, RequestState, Step
from selfservice.steps import change, locked
from vms.models import Snapshot, Vm
from vms.operations.bulk import BulkVms
from vms.operations.snapshots import RenewSnapshot
from vms.states import VmState

START = "start"  # the snapshot that VMs of a class are reset to
MOST_NAMES = 10
S = RequestState


def requests_of(lab_class: LabClass) -> list[Request]:
    return list(Request.objects.filter(seat__lab_class=lab_class).select_related("job", "version").order_by("pk"))


def busy(lab_class: LabClass) -> Text | None:
    """Why nothing can be done to the class as a whole, or None."""
    if lab_class.job is not None and lab_class.job.state in ACTIVE:
        return _("Busy: %(job)s.") % {"job": lab_class.job.title}
    return None


class ClassOperation(Operation):
    permission = "classes.manage"
    model = LabClass
    target_kind = "class"

    target: LabClass


@register
class MakeClass(ClassOperation):
    """A VM for each seat that has none: a part for each, which makes one as for any approved request."""

    name = "selfservice.class-make"
    verb = gettext_lazy("Make the class")
    cancellable = True

    def run(self, run: Run) -> dict[str, Any] | None:
        begun = set(Job.objects.filter(parent=run.job).values_list("target_key", flat=True))
        for request in requests_of(self.target):
            if request.state == S.APPROVED and str(request.pk) not in begun:
                self.begin(run, request)
        return run.wait_for_children()

    def begin(self, run: Run, request: Request) -> None:
        """The part and the request that names it, in one transaction: a repeated run finds both or none."""
        with transaction.atomic():
            row = locked(request)
            if row.state == S.APPROVED:
                row.job = enqueue(BuildRequest(row), user=None, parent=run.job)
                row.save(update_fields=["job"])

    def children_ended(self, run: Run) -> dict[str, Any] | None:
        rows = requests_of(self.target)
        there = [row for row in rows if row.state in LASTING]
        if self.target.wants_snapshot:
            self.keep_start(run)
        self.report(run, len(there), len(rows))
        return {"ready": len(there), "seats": len(rows)}

    def keep_start(self, run: Run) -> None:
        """The snapshot to reset to, of those that have none yet: the others are in use since."""
        rows = Vm.objects.filter(reservations__request__seat__lab_class=self.target)
        rows = rows.exclude(observed_state=VmState.CREATING)
        rows = rows.exclude(pk__in=Snapshot.objects.filter(name=START).values("vm"))
        uuids = [str(uuid) for uuid in rows.order_by("name").values_list("uuid", flat=True).distinct()]
        if not uuids:
            return
        user = run.job.user if run.job.user and can(run.job.user, "vms.view") else None
        params = {"verb": RenewSnapshot.name, "vms": uuids, "params": {"name": START}}
        try:
            enqueue(BulkVms(None, params), user=user)
        except Refused as refused:
            run.warn(_("No start snapshots: %(why)s") % {"why": refused.message})

    def report(self, run: Run, ready: int, seats: int) -> None:
        words = {"name": self.target, "n": ready, "all": seats}
        title = (
            _("The class %(name)s is ready")
            if ready == seats
            else _("The class %(name)s: %(n)s of %(all)s VMs are ready")
        )
        lines = [] if ready == seats else [_("Its page says which failed. Try again makes the rest.")]
        people = [run.job.user] if run.job.user else []
        key = f"class-{self.target.pk}-{run.job.pk}"
        tell("class", people, title=title % words, lines=lines, url=self.target.get_absolute_url(), key=key)

    def failed(self, run: Run) -> None:
        """Parts that were never begun: their requests have failed, and can be tried again."""
        for request in requests_of(self.target):
            if request.state in BUSY and (request.job is None or request.job.state not in ACTIVE):
                with transaction.atomic():
                    if locked(request).state in BUSY:
                        change(request, S.FAILED, Step.FAILED, by=None, why=_("Somebody stopped it."))


class LeasesOfClass(ClassOperation):
    """Something done to the lease of each seat, in one job with a result for each."""

    @classmethod
    def refusal(cls, user: Any, target: Any) -> Text | None:
        return super().refusal(user, target) or busy(target)

    def locks(self) -> list[Lock]:
        return [Lock(f"class:{self.key()}")]

    def for_each(self, run: Run, act: Callable[[Request], bool]) -> dict[str, Any]:
        """act says whether there was anything to do."""
        rows, done, refused = requests_of(self.target), 0, []
        for number, row in enumerate(rows, 1):
            run.progress(100 * number / len(rows), row.pattern)
            try:
                done += act(row)
            except Refused as problem:
                refused.append({"name": row.pattern, "reason": str(problem.message)})
                run.warn(f"{row.pattern}: {problem.message}")
        result = {"done": done, "refused": refused}
        run.keep(**result)
        if refused:
            words = {"n": len(refused), "names": ", ".join(one["name"] for one in refused[:MOST_NAMES])}
            text = ngettext("Not for %(n)s: %(names)s.", "Not for %(n)s: %(names)s.", len(refused))
            raise Failed(text % words, "\n".join(f"{one['name']}: {one['reason']}" for one in refused))
        return result


@register
class GiveClassUntil(LeasesOfClass):
    """params: until (ISO 8601). The others are given it too if it is too long for one of them."""

    name = "selfservice.class-until"
    verb = gettext_lazy("Set the end of the class")

    def until(self) -> datetime:
        found = parse_datetime(str(self.params.get("until") or ""))
        if found is None or timezone.is_naive(found):
            raise Refused(_("This is no date."), field="until")
        return found

    def refuse(self) -> None:
        if self.until() <= timezone.now():
            raise Refused(_("This has passed already."), field="until")
        if self.until() > timezone.now() + terms.days(terms.MOST_DAYS):
            raise Refused(_("That is too far away."), field="until")

    def run(self, run: Run) -> dict[str, Any] | None:
        by, until, now = run.job.user, self.until(), timezone.now()
        if by is None:
            raise Failed(_("Who asked for it is not there any more."))
        beyond = can(by, "selfservice.decide", self.target.group)

        def act(row: Request) -> bool:
            if row.state not in LASTING or row.until == until:
                return False
            leases.give_until(row, by, until, beyond=beyond, now=now)
            return True

        return self.for_each(run, act)


@register
class EndClass(LeasesOfClass):
    """All VMs are given back: deleted with their disks."""

    name = "selfservice.class-end"
    verb = gettext_lazy("End the class")

    def run(self, run: Run) -> dict[str, Any] | None:
        by, now = run.job.user, timezone.now()

        def act(row: Request) -> bool:
            if row.state == S.FAILED:
                row = deciding.end_failed(row, by)
            if row.state not in LASTING or row.returned_at is not None:
                return False
            leases.take_back(row, by, _("The class %(name)s has ended.") % {"name": self.target}, now=now)
            return True

        result = self.for_each(run, act)
        LabClass.objects.filter(pk=self.target.pk, ended_at=None).update(ended_at=now)
        return result
