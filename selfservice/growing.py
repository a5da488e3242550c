"""No VM is started or grown over a quota, by page, API or many at once."""

from access.models import User
from access.rules import everywhere
from jobs import guards
from jobs.operations import Operation
from selfservice import quotas
from selfservice.usage import GROWTH, RENEW, Size, growth
from vms.models import Vm


def guard() -> None:
    for name in GROWTH:
        guards.add(name, check_growth)


def check_growth(operation: Operation, user: User | None) -> None:
    """In the transaction that writes the job. Those who may do it with every VM are not held up by quotas."""
    vm = operation.target
    if user is None or not isinstance(vm, Vm) or everywhere(user, operation.permission):
        return
    if operation.name == RENEW and vm.snapshots.filter(name=operation.params.get("name")).exists():
        return  # one goes for it
    more = growth(operation.name, operation.params, Size.of(vm))
    quotas.hold(vm.owner, vm.group)
    for holder in (vm.owner, vm.group):
        if holder is not None:
            quotas.check(holder, more, asker=user)
