"""Jobs from enqueue to their end: claims, locks, heartbeats, repeats, cancel.

The database is the queue's truth; a Celery message only says "look at job n now". So a lost message, a killed worker
or a Redis that was away costs time, never truth: `look_after` (each 5 s) finds what is left.
"""

import logging
import os
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from access.models import User
from jobs.errors import Cancelled, Failed, Refused
from jobs.models import Job, JobLine, JobLock
from jobs.operations import Operation, by_name
from jobs.run import Children, Run
from jobs.states import ACTIVE, ENDED, State
from ui import live
from virt.errors import VirtError

log = logging.getLogger(__name__)
WORKER = f"{socket.gethostname()}:{os.getpid()}"
HEARTBEAT_S = 2.0
DEAD_AFTER_S = 15.0
MAX_ATTEMPTS = 3
SCAN = 500

_runs: dict[int, Run] = {}
_runs_lock = threading.Lock()
_heart: threading.Thread | None = None


# --- asking for a job ------------------------------------------------------------------------------------------------


def enqueue(operation: Operation, *, user: User | None, parent: Job | None = None) -> Job:
    """Write the job's row and tell the workers. Raises Refused with the reason, PermissionDenied without the right.

    Touches no host and returns at once. `user` None is the system itself.
    """
    if user is not None:
        reason = operation.refusal(user, operation.target)
        if reason is not None:
            from access.rules import can

            if not can(user, operation.permission):
                raise PermissionDenied
            raise Refused(reason)
    operation.refuse()
    job = Job.objects.create(
        operation=operation.name,
        title=operation.title()[:200],
        user=user,
        parent=parent,
        target_kind=operation.target_kind,
        target_key=operation.key(),
        target_label=str(operation.target or "")[:200],
        params=operation.params,
        locks=[list(lock) for lock in operation.locks()],
        cancellable=operation.cancellable,
    )
    announce(job)
    transaction.on_commit(lambda: dispatch([job.pk]))
    return job


def dispatch(job_ids: Iterable[int]) -> None:
    """Tell the workers to look at these jobs. If the broker is away, `look_after` does it later."""
    from jobs.tasks import run_job

    for job_id in job_ids:
        try:
            run_job.delay(job_id)
        except (KombuError, RedisError, OSError) as error:
            log.warning("job %s waits: the broker does not answer: %s", job_id, error)
            return


def announce(job: Job) -> None:
    live.publish(*Run(job).topics(), job=job.pk, state=job.state)


def cancel(job: Job, user: User | None) -> bool:
    """Ask for a cancel. A queued job ends at once; a running one when it next looks. False if it was too late."""
    now = timezone.now()
    who = user.username if user else "Drover"
    if Job.objects.filter(pk=job.pk, state=State.QUEUED).update(
        state=State.CANCELLED, finished_at=now, cancel_requested_at=now
    ):
        JobLine.objects.create(job=job, text=_("Cancelled by %(who)s before it began.") % {"who": who})
        job.refresh_from_db()
        _after_end(job)
        return True
    asked = Job.objects.filter(
        pk=job.pk, state__in=[State.RUNNING, State.WAITING], cancellable=True, cancel_requested_at=None
    ).update(cancel_requested_at=now)
    if not asked:
        return False
    JobLine.objects.create(job=job, text=_("%(who)s asked to cancel.") % {"who": who})
    for child in job.children.filter(state__in=ACTIVE):
        cancel(child, user)
    job.refresh_from_db()
    announce(job)
    return True


# --- claiming --------------------------------------------------------------------------------------------------------


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
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [0x64726F76])
            if job_id not in runnable():
                return None
            job = Job.objects.get(pk=job_id)
            _take_locks(job)
            now = timezone.now()
            job.state, job.worker, job.heartbeat_at = State.RUNNING, WORKER, now
            job.started_at = job.started_at or now
            job.attempt += 1
            job.save(update_fields=["state", "worker", "heartbeat_at", "started_at", "attempt"])
            return job
    except IntegrityError:  # another worker was quicker: the unique key decides
        return None


def _take_locks(job: Job) -> None:
    taken = set(JobLock.objects.values_list("key", flat=True))
    mine = {key.rpartition("#")[0] for key in job.held_locks.values_list("key", flat=True)}
    for key, limit in job.locks:
        if key not in mine:
            place = next(number for number in range(limit) if f"{key}#{number}" not in taken)
            JobLock.objects.create(key=f"{key}#{place}", job=job)


# --- running ---------------------------------------------------------------------------------------------------------


def run(job_id: int) -> None:
    """Claim and run one job to its end, in this thread."""
    job = claim(job_id)
    if job is None:
        return
    this = Run(job)
    with _runs_lock:
        _runs[job.pk] = this
    _start_heart()
    announce(job)
    try:
        _execute(this)
    finally:
        with _runs_lock:
            _runs.pop(job.pk, None)


def _execute(this: Run) -> None:
    job = this.job
    operation: Operation | None = None
    try:
        kind = by_name(job.operation)
        target = kind.find(None, job.target_key) if job.target_key else None
        if job.target_key and target is None:
            raise Refused(_("%(name)s no longer exists.") % {"name": job.target_label})
        operation = kind(target, job.params)
        operation.check(this)
        this.check_cancel()
        result = operation.run(this)
    except Refused as refused:
        _end(this, State.FAILED, str(refused.message), operation=operation)
    except Cancelled:
        _end(this, State.CANCELLED, _("Cancelled."), operation=operation)
    except (Failed, VirtError) as failed:
        _end(this, State.FAILED, str(failed.message), failed.technical, operation=operation)
    except Exception as bug:  # the one place that catches everything: a job must end, and say that this was our bug
        log.exception("job %s (%s) errored", job.pk, job.operation)
        message = _("Drover made a mistake: %(error)s") % {"error": f"{type(bug).__name__}: {bug}"}
        _end(this, State.ERRORED, message, traceback.format_exc(), operation=operation)
    else:
        if isinstance(result, Children):
            _wait_for_children(this)
        else:
            _end(this, State.SUCCEEDED, result=result)


def _end(
    this: Run,
    state: State,
    error: str = "",
    technical: str = "",
    *,
    result: dict[str, Any] | None = None,
    operation: Operation | None = None,
) -> None:
    job = this.job
    if operation is not None:
        operation.failed(this)
    job.state, job.error, job.technical, job.finished_at = state, error, technical, timezone.now()
    job.result = {**job.result, **(result or {})}
    if state == State.SUCCEEDED:
        job.percent = 100.0
    _insist(lambda: _store_end(job))
    if error:
        this.log(error, "info" if state == State.CANCELLED else "error")
    _after_end(job)


def _store_end(job: Job) -> None:
    with transaction.atomic():
        job.save(
            update_fields=[
                "state",
                "error",
                "technical",
                "finished_at",
                "result",
                "percent",
                "step",
                "detail",
                "series",
            ]
        )
        job.held_locks.all().delete()


def _insist(store: Any, for_s: float = 300.0) -> None:
    """Store the end of a job even if the database is away for a while. The heartbeat goes on meanwhile."""
    until = time.monotonic() + for_s
    while True:
        try:
            return store()
        except (OperationalError, DatabaseError) as error:
            if time.monotonic() > until:
                raise
            log.warning("the database does not answer, trying again: %s", error)
            connection.close()
            time.sleep(1)


def _after_end(job: Job) -> None:
    announce(job)
    if job.parent_id:
        _settle(job.parent_id)
    dispatch(runnable()[:32])


def _wait_for_children(this: Run) -> None:
    job = this.job
    job.state, job.worker = State.WAITING, ""
    job.save(update_fields=["state", "worker"])
    announce(job)
    _settle(job.pk)


def _settle(parent_id: int) -> None:
    """End a waiting parent if its last child has ended; otherwise show how many have."""
    parent = Job.objects.filter(pk=parent_id, state=State.WAITING).first()
    if parent is None:
        return
    states = list(parent.children.values_list("state", flat=True))
    done = sum(state in ENDED for state in states)
    this = Run(parent)
    if done < len(states):
        this.progress(100.0 * done / len(states), _("%(done)s of %(all)s done") % {"done": done, "all": len(states)})
        return
    if not Job.objects.filter(pk=parent_id, state=State.WAITING).update(state=State.RUNNING, worker=WORKER):
        return
    kind = by_name(parent.operation)
    operation = kind(kind.find(None, parent.target_key) if parent.target_key else None, parent.params)
    problem: Failed | None = None
    result: dict[str, Any] = {}
    try:
        result = operation.children_ended(this) or {}
    except Failed as failed:
        problem = failed
    bad = sum(state in {State.FAILED, State.ERRORED} for state in states)
    if bad:
        message = _("%(bad)s of %(all)s parts failed; see each for its reason.") % {
            "bad": bad,
            "all": len(states),
        }
        _end(this, State.FAILED, message, result=result, operation=operation)
    elif parent.cancel_requested_at and State.CANCELLED in states:
        _end(this, State.CANCELLED, _("Cancelled."), result=result, operation=operation)
    elif problem is not None:
        _end(this, State.FAILED, str(problem.message), problem.technical, operation=operation)
    else:
        _end(this, State.SUCCEEDED, result=result)


# --- looking after ---------------------------------------------------------------------------------------------------


def _start_heart() -> None:
    global _heart
    with _runs_lock:
        if _heart is None or not _heart.is_alive():
            _heart = threading.Thread(target=_beat, name="heartbeat", daemon=True)
            _heart.start()


def _beat() -> None:
    """Keep this worker's running jobs alive in the database and pass on wishes to cancel; ends when none runs."""
    next_mark = 0.0
    while True:
        with _runs_lock:
            runs = dict(_runs)
            if not runs:
                global _heart
                _heart = None
                connection.close()
                return
        try:
            if time.monotonic() >= next_mark:
                Job.objects.filter(pk__in=runs, worker=WORKER).update(heartbeat_at=timezone.now())
                next_mark = time.monotonic() + HEARTBEAT_S
            asked = Job.objects.filter(pk__in=runs, cancel_requested_at__isnull=False).values_list("pk", flat=True)
            for job_id in asked:
                runs[job_id].cancel_asked.set()
        except DatabaseError as error:
            log.warning("heartbeat not stored: %s", error)
            connection.close()
        time.sleep(HEARTBEAT_S / 4)


def look_after() -> None:
    """Every few seconds: send jobs of dead workers round again, wake what waits, settle parents."""
    now = timezone.now()
    stale = Job.objects.filter(state=State.RUNNING, heartbeat_at__lt=now - timedelta(seconds=DEAD_AFTER_S))
    for job in [*stale, *_orphans_of_this_machine()]:
        _recover(job)
    for parent_id in Job.objects.filter(state=State.WAITING).values_list("pk", flat=True):
        _settle(parent_id)
    dispatch(runnable()[:32])


def _orphans_of_this_machine() -> list[Job]:
    """Running jobs of a worker of this machine whose process is gone: no need to wait for the heartbeat to age."""
    here = socket.gethostname() + ":"
    orphans = []
    for job in Job.objects.filter(state=State.RUNNING, worker__startswith=here):
        pid = job.worker.removeprefix(here)
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            orphans.append(job)
    return orphans


def _recover(job: Job) -> None:
    """A running job whose worker died: run it again, or say so if that has been tried too often."""
    mine = Job.objects.filter(pk=job.pk, state=State.RUNNING, worker=job.worker, attempt=job.attempt)
    if job.attempt >= MAX_ATTEMPTS:
        if mine.update(worker=WORKER, heartbeat_at=timezone.now()):
            kind = by_name(job.operation)
            operation = kind(kind.find(None, job.target_key) if job.target_key else None, job.params)
            message = _("Interrupted %(n)s times because the worker was stopped.") % {"n": job.attempt}
            _end(Run(job), State.FAILED, message, operation=operation)
        return
    if mine.update(state=State.QUEUED, worker=""):
        JobLine.objects.create(
            job=job,
            level="warning",
            text=_("The worker was stopped in the middle; looking at what is done and going on."),
        )
        dispatch([job.pk])


def forget_old(days: int) -> int:
    """Delete ended jobs older than this many days; returns how many."""
    limit = timezone.now() - timedelta(days=days)
    deleted, _each = Job.objects.filter(state__in=ENDED, finished_at__lt=limit).delete()
    return deleted
