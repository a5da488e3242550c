"""What Celery calls."""

from celery import shared_task
from django.conf import settings

from jobs import care, work


@shared_task(name="jobs.run", acks_late=False)
def run_job(job_id: int) -> None:
    work.run(job_id)


@shared_task(name="jobs.look_after")
def look_after() -> None:
    care.look_after()


@shared_task(name="jobs.forget_old")
def forget_old() -> None:
    care.forget_old(settings.JOBS_KEEP_DAYS)
