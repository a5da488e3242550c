"""What Celery calls: at once after something was told, and by the clock."""

from celery import shared_task
from django.conf import settings

from notices import delivery, keeping


@shared_task(name="notices.send")
def send() -> None:
    delivery.send_due()


@shared_task(name="notices.forget_old")
def forget_old() -> None:
    keeping.forget_old(settings.NOTICES_KEEP_DAYS)
