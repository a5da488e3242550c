"""What the clock does for requests."""

from celery import shared_task

from selfservice import deciding


@shared_task(name="selfservice.escalate")
def escalate() -> None:
    deciding.escalate()
