"""Letting other people use a VM: what its owner gives, and ends."""

from datetime import datetime

from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import CONSOLE_ONLY, Grant, Role, User
from access.people import Denied
from access.rules import can
from ui import locks
from ui.text import Text

PERMISSION = "vms.share"
MOST = 50  # of one VM
WAYS: dict[str, Text] = {
    Role.USER.value: gettext_lazy("use it: power, console, snapshots"),
    CONSOLE_ONLY: gettext_lazy("its console only"),
}


def of(vm: Model) -> QuerySet[Grant]:
    """Those in force, oldest first."""
    rows = Grant.objects.in_force().filter(on_vm=vm.pk, is_share=True)
    return rows.select_related("to_user", "given_by").order_by("pk")


@transaction.atomic
def give(actor: User, vm: Model, to: User, way: str, until: datetime | None = None) -> Grant:
    """What somebody has already is changed to this way and end; what is the same stays as it is. Raises Denied."""
    if not can(actor, PERMISSION, vm):
        raise Denied(_("You may not share it."))
    if way not in WAYS:
        raise Denied(_("Choose one of the list."), "way")
    if not to.is_active:
        raise Denied(_("Nobody is called so."), "person")
    if to.pk in {actor.pk, getattr(vm, "owner_id", None)}:
        raise Denied(_("They have it already."), "person")
    if until is not None and until <= timezone.now():
        raise Denied(_("This is over already."), "until")
    locks.hold(vm)
    there = of(vm).exclude(to_user=to)
    if there.count() >= MOST:
        raise Denied(_("It is shared with %(n)s people already: end one first.") % {"n": MOST})
    for old in Grant.objects.filter(on_vm=vm.pk, is_share=True, to_user=to):
        if (old.role, old.until) == (way, until):
            return old
        old.delete()
    return Grant.objects.create(to_user=to, role=way, on_vm_id=vm.pk, until=until, given_by=actor, is_share=True)


def end(actor: User, vm: Model, pk: int) -> Grant | None:
    """None if it had ended. Raises Denied."""
    if not can(actor, PERMISSION, vm):
        raise Denied(_("You may not share it."))
    found = of(vm).filter(pk=pk).first()
    if found is not None:
        found.delete()
    return found
