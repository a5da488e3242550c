"""What Celery calls."""

from celery import shared_task
from django.conf import settings

from jobs import engine
from virt.connection import close_idle


@shared_task(name="jobs.run", acks_late=False)
def run_job(job_id: int) -> None:
    engine.run(job_id)


@shared_task(name="jobs.look_after")
def look_after() -> None:
    engine.look_after()
    close_idle()


@shared_task(name="jobs.forget_old")
def forget_old() -> None:
    engine.forget_old(settings.JOBS_KEEP_DAYS)
