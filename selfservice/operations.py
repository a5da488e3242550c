"""Building what was approved: one job with a part for each VM."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobs import discretion
from jobs.errors import Failed, Refused, Text
from jobs.models import Job
from jobs.operations import Operation, register
from jobs.run import Run
from jobs.states import State
from selfservice import building, quotas, terms
from selfservice.models import Request
from selfservice.states import BUSY, RequestState, Step
from selfservice.steps import change, locked
from vms.models import Vm
from vms.operations.create import CreateVm

S = RequestState


@register
class BuildRequest(Operation):
    """The VMs of an approved request. Those that were made stay when others fail: "try again" makes the rest."""

    name = "selfservice.build"
    verb = gettext_lazy("Build")
    permission = "selfservice.decide"
    model = Request
    target_kind = "request"
    cancellable = True

    target: Request

    def title(self) -> str:
        words = {"what": self.target.pattern, "who": self.target.asker, "n": self.target.pk}
        return _("Build %(what)s for %(who)s (request %(n)s)") % words

    @classmethod
    def refusal(cls, user: Any, target: Any) -> Text | None:
        """Nobody asks for it by itself: approving a request does."""
        return _("You have no right to do this.")

    def run(self, run: Run) -> dict[str, Any] | None:
        if "parts" not in run.job.result:
            self.begin(run)
        begun = set(Job.objects.filter(parent=run.job).values_list("target_key", flat=True))
        for part in run.job.result["parts"]:
            vm = Vm.objects.filter(uuid=part["uuid"]).first()
            if vm is not None and part["uuid"] not in begun:
                run.child(CreateVm(vm, part["params"]))
        return run.wait_for_children()

    def begin(self, run: Run) -> None:
        """The state, the VMs' rows and the list of parts in one transaction: a repeated run finds all or nothing."""
        run.progress(2, _("Choosing the places"))
        try:
            wish = building.wish_of(self.target) if building.missing(self.target) else None
            references = building.ready(wish) if wish else []
            with transaction.atomic():
                row = locked(self.target)
                if row.state != S.BUILDING:
                    change(row, S.BUILDING, Step.BEGUN, by=None)
                run.keep(parts=building.rows(row, wish, references) if wish else [])
        except Refused as refused:
            run.keep(why=building.plain(refused))
            raise Failed(building.plain(refused), str(refused.message)) from refused

    def children_ended(self, run: Run) -> dict[str, Any] | None:
        """What is there counts by itself from now on; what is missing stays reserved."""
        with transaction.atomic():
            row = locked(self.target)
            there = building.finished(row)
            quotas.release(_("it is there"), pk__in=[one.pk for one in there])
            if row.state == S.BUILDING and not row.reservations.filter(released_at=None).exists():
                change(row, S.READY, Step.READY, by=None, **terms.begin(row, timezone.now()))
        return {"made": len(there)}

    def failed(self, run: Run) -> None:
        """Tell the person who asked, in their words; the job has the rest."""
        with transaction.atomic():
            row = locked(self.target)
            if row.state in BUSY:
                change(row, S.FAILED, Step.FAILED, by=None, why=self.why(run, row))

    def why(self, run: Run, row: Request) -> str:
        if run.job.cancel_requested_at is not None:
            return _("Somebody stopped it.")
        if "parts" not in run.job.result:
            return str(run.job.result.get("why") or _("Drover made a mistake. An administrator can see which."))
        missing = row.reservations.filter(released_at=None).count()
        words = ngettext("%(n)s of %(all)s VMs could not be made.", "%(n)s of %(all)s VMs could not be made.", missing)
        text = words % {"n": missing, "all": row.count} if row.count > 1 else _("The VM could not be made.")
        return " ".join([text, *self.first_reason(run, row)])

    def first_reason(self, run: Run, row: Request) -> list[str]:
        """What the first part that failed says, without what the asker does not see of the cluster."""
        parts = Job.objects.filter(parent=run.job, state=State.FAILED).exclude(error="").order_by("pk")
        return [discretion.shown(row.asker, part.error) for part in parts.only("error")[:1]]
