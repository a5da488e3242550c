"""Running jobs to their end in a worker: the run itself, its truthful end, parents, the heartbeat."""

import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs import guards, record
from jobs.errors import Cancelled, Failed, Refused
from jobs.models import Job, JobLine
from jobs.operations import Operation, by_name
from jobs.run import Children, Run
from jobs.states import ACTIVE, ENDED, State
from jobs.waiting import AT_ONCE, WORKER, announce, claim, dispatch, runnable
from virt.errors import VirtError

log = logging.getLogger(__name__)
HEARTBEAT_S = 2.0
MAX_ATTEMPTS = 3
STORE_FOR_S = 300.0
NO_DATABASE = (OperationalError, InterfaceError)

_runs: dict[int, Run] = {}
_runs_lock = threading.Lock()
_heart: threading.Thread | None = None


def run(job_id: int) -> None:
    """Claim and run one job to its end, in this thread."""
    job = claim(job_id)
    if job is not None:
        with _Beating(Run(job)) as this:
            announce(job)
            _execute(this)


def is_running_here(job_id: int) -> bool:
    with _runs_lock:
        return job_id in _runs


class _Beating:
    """While inside, the heartbeat says that this run is alive, and tells it of a wish to cancel."""

    def __init__(self, this: Run) -> None:
        self.this = this

    def __enter__(self) -> Run:
        if self.this.job.cancel_requested_at is not None:
            self.this.cancel_asked.set()
        with _runs_lock:
            _runs[self.this.job.pk] = self.this
        _start_heart()
        return self.this

    def __exit__(self, *problem: object) -> None:
        with _runs_lock:
            _runs.pop(self.this.job.pk, None)


def operation_of(job: Job) -> Operation:
    """The operation of a job's row. Raises Refused if this version does not know it or the target is gone."""
    kind = by_name(job.operation)
    target = kind.find(None, job.target_key) if job.target_key else None
    if job.target_key and target is None:
        raise Refused(_("%(name)s no longer exists.") % {"name": job.target_label})
    return kind(target, job.params)


def _execute(this: Run) -> None:
    job = this.job
    operation: Operation | None = None
    try:
        if this.is_repeat and job.target_key and _has_removed_target(job):
            end(this, State.SUCCEEDED)
            return
        operation = operation_of(job)
        if not this.is_repeat:
            guards.ask_at_begin(operation, job.user)
        operation.check(this)
        if not this.is_repeat:  # a repeated run may have half-made things: only `run` itself can stop cleanly
            this.check_cancel()
        result = operation.run(this)
    except Refused as refused:
        end(this, State.FAILED, str(refused.message), operation=operation)
    except Cancelled:
        end(this, State.CANCELLED, _("Cancelled."), operation=operation)
    except (Failed, VirtError) as failed:
        end(this, State.FAILED, str(failed.message), failed.technical, operation=operation)
    except Exception as bug:  # the one place that catches everything: a job must end, and say that this was our bug
        if isinstance(bug, NO_DATABASE) and job.attempt < MAX_ATTEMPTS:
            log.warning("job %s: the database did not answer: %s", job.pk, bug)
            insist(lambda: again(job, _("The database did not answer; looking at what is done and going on.")))
            return
        log.exception("job %s (%s) errored", job.pk, job.operation)
        message = _("Drover made a mistake: %(error)s") % {"error": f"{type(bug).__name__}: {bug}"}
        end(this, State.ERRORED, message, traceback.format_exc(), operation=operation)
    else:
        if isinstance(result, Children):
            insist(lambda: _wait_for_children(this))
        else:
            end(this, State.SUCCEEDED, result=result)


def _has_removed_target(job: Job) -> bool:
    """Whether a repeated removal was killed after its last step: what it should remove is gone."""
    kind = by_name(job.operation)
    return kind.removes_target and kind.find(None, job.target_key) is None


def again(job: Job, why: str) -> bool:
    """Put a running job back into the queue for a repeated run. False if somebody else decided otherwise."""
    mine = Job.objects.filter(pk=job.pk, state=State.RUNNING, worker=job.worker, attempt=job.attempt)
    if not mine.update(state=State.QUEUED, worker="", suspected_at=None):
        return False
    JobLine.objects.create(job=job, level="warning", text=why)
    job.refresh_from_db()
    announce(job)
    dispatch([job.pk])
    return True


def end(
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
        technical = "\n\n".join(part for part in (technical, _put_right(operation, this)) if part)
    job.state, job.error, job.technical, job.finished_at = state, error, technical, timezone.now()
    job.result = {**job.result, **(result or {})}
    if state == State.SUCCEEDED:
        job.percent = 100.0
    if not insist(lambda: _store_end(job)):
        log.error("job %s ended as %s here, but it is no longer ours", job.pk, state)
        return
    if error:
        this.log(error, "info" if state == State.CANCELLED else "error")
    after_end(job)


def _put_right(operation: Operation, this: Run) -> str:
    """Operation.failed, which must not raise; if it does, the job still ends. Returns the traceback then."""
    try:
        insist(lambda: operation.failed(this))
    except Exception:
        log.exception("job %s: cleaning up after %s raised", this.job.pk, operation.name)
        return traceback.format_exc()
    return ""


def _store_end(job: Job) -> bool:
    """Write the end, if the job is still this run's: never over what another worker has done since."""
    fields = ("state", "error", "technical", "finished_at", "result", "percent", "step", "detail", "series")
    with transaction.atomic():
        mine = Job.objects.filter(pk=job.pk, worker=job.worker, attempt=job.attempt, state__in=ACTIVE)
        if not mine.update(**{name: getattr(job, name) for name in fields}):
            return False
        job.held_locks.all().delete()
        record.ended(job)
        return True


def insist(store: Callable[[], Any], for_s: float = STORE_FOR_S) -> Any:
    """Do something with the database even if it is away for a while. The heartbeat goes on meanwhile."""
    until = time.monotonic() + for_s
    while True:
        try:
            return store()
        except NO_DATABASE as error:
            if time.monotonic() > until:
                raise
            log.warning("the database does not answer, trying again: %s", error)
            connection.close()
            time.sleep(1)


def end_before_start(job: Job) -> None:
    """After a queued job was cancelled: its operation puts right what was written when it was asked for."""
    try:
        _put_right(operation_of(job), Run(job))
    except Refused as gone:
        log.info("job %s: nothing to put right: %s", job.pk, gone.message)
    after_end(job)


def after_end(job: Job) -> None:
    announce(job)
    if job.parent_id:
        settle(job.parent_id)
    dispatch(runnable()[:AT_ONCE])


# --- parents ---------------------------------------------------------------------------------------------------------


def _wait_for_children(this: Run) -> None:
    job = this.job
    Job.objects.filter(pk=job.pk, worker=WORKER, state=State.RUNNING).update(state=State.WAITING, worker="")
    job.refresh_from_db()
    announce(job)
    if job.cancel_requested_at is not None:  # asked while the parts were being made
        from jobs.engine import cancel

        for child in job.children.filter(state__in=ACTIVE):
            cancel(child, job.user)
    settle(job.pk)


def settle(parent_id: int) -> None:
    """End a waiting parent if its last child has ended; otherwise show how many have."""
    parent = Job.objects.filter(pk=parent_id, state=State.WAITING).first()
    if parent is None:
        return
    states = list(parent.children.values_list("state", flat=True))
    done = sum(state in ENDED for state in states)
    if done < len(states):
        text = _("%(done)s of %(all)s done") % {"done": done, "all": len(states)}
        Run(parent).progress(100.0 * done / len(states), text)
        return
    mine = Job.objects.filter(pk=parent_id, state=State.WAITING)
    if mine.update(state=State.RUNNING, worker=WORKER, heartbeat_at=timezone.now()):  # one of several ends it
        parent.refresh_from_db()
        with _Beating(Run(parent)) as this:
            _end_parent(this, states)


def _end_parent(this: Run, states: list[str]) -> None:
    job = this.job
    operation: Operation | None = None
    result: dict[str, Any] | None = None
    state, error, technical = _verdict(job, states)
    try:
        kind = by_name(job.operation)
        operation = kind(kind.find(None, job.target_key) if job.target_key else None, job.params)
        result = operation.children_ended(this)
    except (Failed, Refused, VirtError) as failed:
        if state != State.FAILED:
            state, error, technical = State.FAILED, str(failed.message), getattr(failed, "technical", "")
    except Exception as bug:
        log.exception("job %s (%s) errored at its end", job.pk, job.operation)
        message = _("Drover made a mistake: %(error)s") % {"error": f"{type(bug).__name__}: {bug}"}
        state, error, technical = State.ERRORED, message, traceback.format_exc()
    end(this, state, error, technical, result=result, operation=None if state == State.SUCCEEDED else operation)


def _verdict(job: Job, states: list[str]) -> tuple[State, str, str]:
    """How a parent ended, by how its parts ended."""
    bad = sum(state in {State.FAILED, State.ERRORED} for state in states)
    stopped = sum(state == State.CANCELLED for state in states)
    figures = {"bad": bad, "stopped": stopped, "all": len(states)}
    if bad:
        return State.FAILED, _("%(bad)s of %(all)s parts failed; see each for its reason.") % figures, ""
    if stopped and job.cancel_requested_at:
        return State.CANCELLED, _("Cancelled."), ""
    if stopped:
        return State.FAILED, _("%(stopped)s of %(all)s parts were cancelled.") % figures, ""
    return State.SUCCEEDED, "", ""


# --- the heartbeat ---------------------------------------------------------------------------------------------------


def _start_heart() -> None:
    global _heart
    with _runs_lock:
        if _heart is None or not _heart.is_alive():
            _heart = threading.Thread(target=_beat, name="heartbeat", daemon=True)
            _heart.start()


def _beat() -> None:
    """Keep this worker's running jobs alive in the database and pass on wishes to cancel; ends when none runs."""
    global _heart
    next_mark = 0.0
    while True:
        with _runs_lock:
            runs = dict(_runs)
            if not runs:
                _heart = None
                break
        try:
            if time.monotonic() >= next_mark:
                Job.objects.filter(pk__in=runs, worker=WORKER).update(heartbeat_at=timezone.now())
                next_mark = time.monotonic() + HEARTBEAT_S
            asked = Job.objects.filter(pk__in=runs, cancel_requested_at__isnull=False).values_list("pk", flat=True)
            for job_id in asked:
                runs[job_id].cancel_asked.set()
        except (DatabaseError, InterfaceError) as error:
            log.warning("heartbeat not stored: %s", error)
            connection.close()
        time.sleep(HEARTBEAT_S / 4)
    connection.close()
