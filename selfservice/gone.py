"""When the last VM of a request is deleted, by whomever: nothing is left of it."""

from typing import Any

from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver

from selfservice import lease_notices
from selfservice.models import Request
from selfservice.states import LASTING, RequestState, Step
from selfservice.steps import change, vms_of
from vms.models import Vm

KEPT = "_requests"


@receiver(pre_delete, sender=Vm, dispatch_uid="selfservice.remember")
def remember(instance: Vm, **more: Any) -> None:
    """Afterwards the row no longer says of which request it was."""
    setattr(instance, KEPT, list(Request.objects.filter(reservations__vm=instance, state__in=LASTING).distinct()))


@receiver(post_delete, sender=Vm, dispatch_uid="selfservice.gone")
def gone(instance: Vm, **more: Any) -> None:
    for request in getattr(instance, KEPT, ()):
        if not vms_of(request).exists():
            lease_notices.deleted(change(request, RequestState.DELETED, Step.DELETED, by=None))
