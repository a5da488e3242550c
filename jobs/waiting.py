"""The queue: which jobs may run now, and taking one with its locks.

The database is the queue's truth; a Celery message only says "look at job n now". So a lost message, a killed worker
or a Redis that was away costs time, never truth: `jobs.care` finds what is left.
"""

import logging
import os
import socket
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from jobs.models import Job, JobLock
from jobs.run import Run
from jobs.states import State
from ui import live

log = logging.getLogger(__name__)
SCAN = 2000
AT_ONCE = 32
ADVISORY_LOCK = 0x64726F76


def started_at(pid: int | str) -> str:
    """When a process of this machine began, in ticks since boot: with the pid it names it for good. "" if gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


WORKER = f"{socket.gethostname()}:{os.getpid()}:{started_at(os.getpid())}"


def dispatch(job_ids: Iterable[int], *, expires_s: float | None = None) -> None:
    """Tell the workers to look at these jobs. If the broker is away, `look_after` does it later."""
    from jobs.tasks import run_job

    for job_id in job_ids:
        try:
            run_job.apply_async([job_id], expires=expires_s)
        except (KombuError, RedisError, OSError) as error:
            log.warning("job %s waits: the broker does not answer: %s", job_id, error)
            return


def announce(job: Job) -> None:
    live.publish(*Run(job).topics(), job=job.pk, state=job.state)


def runnable() -> list[int]:
    """Queued jobs that could run now, oldest first: their locks are free and no older queued job wants the same."""
    held = Counter(key.rpartition("#")[0] for key in JobLock.objects.values_list("key", flat=True))
    own: dict[int, set[str]] = {}
    for key, job_id in JobLock.objects.filter(job__state=State.QUEUED).values_list("key", "job_id"):
        own.setdefault(job_id, set()).add(key.rpartition("#")[0])
    free = []
    for job_id, locks in Job.objects.filter(state=State.QUEUED).order_by("id").values_list("id", "locks")[:SCAN]:
        wanted = [(key, limit) for key, limit in locks if key not in own.get(job_id, ())]
        if all(held[key] < limit for key, limit in wanted):
            free.append(job_id)
        held.update(key for key, _limit in wanted)
    return free


def claim(job_id: int) -> Job | None:
    """Take a queued job and its locks for this worker, all or nothing. None if it is not ours to run now."""
    now = timezone.now()
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
            if job_id not in runnable():
                return None
            job = Job.objects.get(pk=job_id)
            # Compare and set: on PostgreSQL somebody may cancel it just now.
            if not Job.objects.filter(pk=job_id, state=State.QUEUED).update(
                state=State.RUNNING,
                worker=WORKER,
                heartbeat_at=now,
                suspected_at=None,
                started_at=job.started_at or now,
                attempt=job.attempt + 1,
            ):
                return None
            _take_locks(job)
            return Job.objects.get(pk=job_id)
    except IntegrityError:  # another worker was quicker: the unique key decides
        return None


def _take_locks(job: Job) -> None:
    taken = set(JobLock.objects.values_list("key", flat=True))
    mine = {key.rpartition("#")[0] for key in job.held_locks.values_list("key", flat=True)}
    for key, limit in job.locks:
        if key not in mine:
            place = next(number for number in range(limit) if f"{key}#{number}" not in taken)
            JobLock.objects.create(key=f"{key}#{place}", job=job)
