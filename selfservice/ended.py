"""VMs whose lease has ended are not started, by page, API or many at once: their lease is extended first."""

from django.utils.translation import gettext as _

from access.models import User
from jobs import guards
from jobs.errors import Refused
from jobs.operations import Operation
from selfservice.models import Request
from selfservice.states import ENDED
from vms.models import Vm

STARTS = ("vms.start", "vms.autostart", "vms.rebuild", "vms.snapshot-revert")  # jobs after which a VM may run


def guard() -> None:
    for name in STARTS:
        guards.add(name, check_lease, also_at_begin=True)


def ended(vm: Vm) -> Request | None:
    """The request that this VM was made for, if its lease is over."""
    return Request.objects.filter(reservations__vm=vm, state__in=ENDED).first()


def check_lease(operation: Operation, user: User | None) -> None:
    """Also when the job begins: the lease may have ended while it waited."""
    vm = operation.target
    if not isinstance(vm, Vm) or (operation.name == "vms.autostart" and not operation.params.get("enabled")):
        return
    if ended(vm) is not None:
        raise Refused(_("Its lease has ended: extend it first."))
