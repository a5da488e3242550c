"""Looking after jobs every few seconds: what dead workers left, what waits, what is old."""

import logging
import socket
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs import work
from jobs.errors import Refused
from jobs.models import Job
from jobs.run import Run
from jobs.states import ENDED, State
from jobs.waiting import AT_ONCE, WORKER, dispatch, runnable, started_at

log = logging.getLogger(__name__)
DEAD_AFTER_S = 15.0
GRACE_S = 6.0
LOOK_EVERY_S = 5.0
BATCH = 500


def look_after() -> None:
    """Send jobs of dead workers round again, wake what waits, settle parents. One sick job stops nothing else."""
    for job in [*_orphans_of_this_machine(), *_silent()]:
        _recover(job)
    for parent_id in Job.objects.filter(state=State.WAITING).values_list("pk", flat=True):
        work.settle(parent_id)
    # These messages are reminders: one that no thread took until the next round is worth nothing.
    dispatch(runnable()[:AT_ONCE], expires_s=2 * LOOK_EVERY_S)


def _silent() -> list[Job]:
    """Jobs whose heartbeat stopped. Suspected first, and dead only if it stays silent while we look again.

    After the database was away every heartbeat is old, of living workers too: they get the grace to store a new one.
    """
    now = timezone.now()
    old = Q(state=State.RUNNING) & (
        Q(heartbeat_at__lt=now - timedelta(seconds=DEAD_AFTER_S)) | Q(heartbeat_at__isnull=True)
    )
    Job.objects.filter(old).filter(Q(suspected_at=None) | Q(suspected_at__lt=F("heartbeat_at"))).update(
        suspected_at=now
    )
    dead = Job.objects.filter(old, suspected_at__lt=now - timedelta(seconds=GRACE_S))
    return [job for job in dead.exclude(suspected_at__lt=F("heartbeat_at")) if not work.is_running_here(job.pk)]


def _orphans_of_this_machine() -> list[Job]:
    """Running jobs of a worker of this machine whose process is gone: no need to wait for the heartbeat to age."""
    here = socket.gethostname()
    orphans = []
    for job in Job.objects.filter(state=State.RUNNING, worker__startswith=f"{here}:"):
        pid, _sep, began = job.worker.removeprefix(f"{here}:").partition(":")
        if pid.isdigit() and started_at(pid) != began:
            orphans.append(job)
    return orphans


def _recover(job: Job) -> None:
    """A running job whose worker died: run it again, or say so if that has been tried too often."""
    if job.attempt < work.MAX_ATTEMPTS:
        work.again(job, _("The worker was stopped in the middle; looking at what is done and going on."))
        return
    mine = Job.objects.filter(pk=job.pk, state=State.RUNNING, worker=job.worker, attempt=job.attempt)
    if not mine.update(worker=WORKER, heartbeat_at=timezone.now(), suspected_at=None):
        return
    job.refresh_from_db()
    message = _("Interrupted %(n)s times because the worker was stopped.") % {"n": job.attempt}
    try:
        operation = work.operation_of(job)
    except Refused:
        operation = None
    work.end(Run(job), State.FAILED, message, operation=operation)


def forget_old(days: int) -> int:
    """Delete ended jobs older than this many days, parts with their parent; returns how many rows went."""
    limit = timezone.now() - timedelta(days=days)
    old = Job.objects.filter(parent=None, state__in=ENDED, finished_at__lt=limit)
    deleted = 0
    while batch := list(old.values_list("pk", flat=True)[:BATCH]):
        deleted += Job.objects.filter(pk__in=batch).delete()[0]
    return deleted
