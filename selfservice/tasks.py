"""What the clock does for requests."""

from celery import shared_task
from django.utils import timezone

from selfservice import deciding, leases, unused


@shared_task(name="selfservice.escalate")
def escalate() -> None:
    deciding.escalate()
    deciding.give_up_old()


@shared_task(name="selfservice.leases")
def look_at_leases() -> None:
    leases.look(timezone.now())


@shared_task(name="selfservice.unused")
def look_for_unused() -> None:
    unused.look(timezone.now())
