"""When a VM gets another owner or group its lease goes along: whoever has it is told of it and can extend it."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.utils.translation import gettext as _

from selfservice import lease_notices
from selfservice.models import Request, Seat
from selfservice.states import LASTING, Step
from selfservice.steps import locked, note, vms_of
from vms.models import Vm


@receiver(post_save, sender=Vm, dispatch_uid="selfservice.handed")
def handed(instance: Vm, update_fields: Iterable[str] | None = None, **more: Any) -> None:
    if update_fields is None or not {"owner", "group"} & set(update_fields):
        return
    for request in Request.objects.filter(reservations__vm=instance, state__in=LASTING).distinct():
        follow(request, instance)


@transaction.atomic
def follow(request: Request, vm: Vm) -> None:
    """The request belongs to the VM's owner and group again. A VM of several gets a request of its own."""
    row = locked(request)
    before, owner = row.asker, vm.owner or row.asker
    if (row.asker_id, row.group_id) == (owner.pk, vm.group_id):
        return
    if vms_of(row).exclude(pk=vm.pk).exists():
        row = split(row, vm)
    row.asker, row.group = owner, vm.group
    row.save(update_fields=["asker", "group"])
    Seat.objects.filter(request=row).delete()  # no longer the class's
    words = {"vm": vm, "who": owner, "group": vm.group or _("no group")}
    note(row, Step.HANDED, by=None, why=_("%(vm)s: to %(who)s, %(group)s.") % words, before=row.state)
    if owner.pk != before.pk:
        lease_notices.handed(row)


def split(row: Request, vm: Vm) -> Request:
    """The same lease, of this VM alone."""
    mine = locked(row)
    mine.pk = None
    mine.count, mine.pattern, mine.job = 1, vm.name[:60], None
    mine.save(force_insert=True)
    row.reservations.filter(vm=vm).update(request=mine)
    row.count -= 1
    row.save(update_fields=["count"])
    why = _("%(vm)s has a lease of its own: %(other)s.") % {"vm": vm, "other": mine}
    note(row, Step.HANDED, by=None, why=why, before=row.state)
    return mine
