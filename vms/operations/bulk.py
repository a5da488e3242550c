"""One job for many VMs, with a part and a result for each."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from access.rules import can, visible
from jobs.errors import Failed, Refused
from jobs.models import Job
from jobs.operations import Operation, by_name, register
from jobs.run import Run
from vms.models import Vm

MAX_VMS = 500
# what may be done to many VMs at once, in the order of the selection bar
BULK = (
    "vms.start",
    "vms.shutdown",
    "vms.reboot",
    "vms.force-off",
    "vms.migrate",
    "vms.tag",
    "vms.delete",
    "vms.forget",
)
# from other pages: whose they are; the start snapshots of a class
ALSO = frozenset({"vms.edit", "vms.snapshot-renew", "vms.snapshot-revert"})


@register
class BulkVms(Operation):
    """params: verb (an operation's name), vms ([uuid]), params (given to each part)."""

    name = "vms.bulk"
    verb = gettext_lazy("Change many VMs")
    permission = "vms.view"
    cancellable = True

    @classmethod
    def allowed_to(cls, user: User, target: Any) -> bool:
        """Each part asks for its own right, on its own VM."""
        return can(user, cls.permission)

    @classmethod
    def cancel_permission(cls, params: dict[str, Any]) -> str:
        """To stop it is to change those VMs."""
        try:
            return by_name(str(params.get("verb"))).permission
        except Refused:
            return "vms.change"

    def title(self) -> str:
        kind, number = by_name(str(self.params.get("verb"))), len(self.params.get("vms") or ())
        return _("%(verb)s %(n)s VMs") % {"verb": kind.verb, "n": number}

    def refuse(self) -> None:
        if self.params.get("verb") not in {*BULK, *ALSO}:
            raise Refused(_("This can't be done to many VMs at once."), field="verb")
        asked = self.params.get("vms")
        if not isinstance(asked, list) or not asked:
            raise Refused(_("Choose the VMs first."))
        if len(asked) > MAX_VMS:
            raise Refused(_("At most %(n)s VMs at once.") % {"n": MAX_VMS})

    def run(self, run: Run) -> dict[str, Any] | None:
        kind = by_name(self.params["verb"])
        begun = set(Job.objects.filter(parent=run.job).values_list("target_key", flat=True))
        refused: list[dict[str, str]] = []
        rows = Vm.objects.filter(uuid__in=self.params["vms"]).select_related("host", "job")
        vms = {str(vm.uuid): vm for vm in (visible(run.job.user, rows) if run.job.user else rows)}
        for uuid in self.params["vms"]:
            vm = vms.get(uuid)
            if uuid in begun:
                continue
            reason = _("It is not there (any more).") if vm is None else self.begin(run, kind, vm)
            if reason:
                refused.append({"uuid": uuid, "name": str(vm or uuid), "reason": reason})
                run.warn(f"{vm or uuid}: {reason}")
        run.keep(refused=refused)
        if len(refused) == len(self.params["vms"]):
            raise Failed(_("Not possible for any of them: %(why)s") % {"why": refused[0]["reason"]})
        return run.wait_for_children()

    def begin(self, run: Run, kind: type[Operation], vm: Vm) -> str:
        """Enqueue the part for one VM; the reason if that is refused."""
        try:
            run.child(kind(vm, dict(self.params.get("params") or {})))
        except Refused as refused:
            return str(refused.message)
        except PermissionDenied:
            return _("You have no right to do this.")
        return ""
