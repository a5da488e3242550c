"""A VM is not started over the quota of running VMs, by page, API or many at once."""

from access.models import User
from access.rules import everywhere
from jobs import guards
from jobs.operations import Operation
from selfservice import quotas
from selfservice.measures import Amount
from selfservice.usage import STARTS
from vms.models import Vm

ONE_MORE = Amount(running_vms=1)


def guard() -> None:
    for name in STARTS:
        guards.add(name, check_start)


def check_start(operation: Operation, user: User | None) -> None:
    """In the transaction that writes the job. Those who may start everything are not held up by quotas."""
    vm = operation.target
    if user is None or not isinstance(vm, Vm) or everywhere(user, "vms.power"):
        return
    quotas.hold(vm.owner, vm.group)
    for holder in (vm.owner, vm.group):
        if holder is not None:
            quotas.check(holder, ONE_MORE, asker=user)
