"""What the clock does for VMs."""

from celery import shared_task

from vms import consoles


@shared_task(name="vms.forget_unused_tickets")
def forget_unused_tickets() -> None:
    consoles.forget_unused()


@shared_task(name="vms.close_abandoned_consoles")
def close_abandoned_consoles() -> None:
    consoles.close_abandoned()
