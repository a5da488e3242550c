"""Asking for a job, and asking to cancel one. How jobs wait is in `jobs.waiting`, how they run in `jobs.work`."""

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from access.rules import Person, can, everywhere, is_somebody
from jobs import discretion, guards, limits, record
from jobs.errors import Refused
from jobs.models import Job, JobLine
from jobs.operations import Operation, by_name
from jobs.states import ACTIVE, State
from jobs.waiting import announce, dispatch
from jobs.work import end_before_start

TOO_MANY = gettext_lazy("You have %(n)s jobs waiting already: let some end, or cancel them.")


def enqueue(operation: Operation, *, user: User | None, parent: Job | None = None) -> Job:
    """Write the job's row and tell the workers. Raises Refused with the reason, PermissionDenied without the right.

    Touches no host and returns at once. `user` None is the system itself.
    """
    with discretion.refusals(user), record.refusals(operation, user):
        _check_right(operation, user)
        operation.refuse()
        with transaction.atomic():
            if user is not None and parent is None:
                waiting = Job.objects.filter(user=user, parent=None, state=State.QUEUED)
                limits.check(waiting, settings.MOST_WAITING_JOBS, TOO_MANY)
            guards.ask(operation, user)
            job = _write(operation, user, parent)
    announce(job)
    transaction.on_commit(lambda: dispatch([job.pk]))
    return job


def _write(operation: Operation, user: User | None, parent: Job | None) -> Job:
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
    record.accepted(job)
    return job


def _check_right(operation: Operation, user: User | None) -> None:
    if user is not None:
        reason = operation.refusal(user, operation.target)
        if reason is not None:
            if not operation.allowed_to(user, operation.target):
                raise PermissionDenied
            raise Refused(reason)


def may_cancel(user: Person, job: Job) -> bool:
    """Whoever may do the operation, and whoever started it, may cancel it."""
    if not job.can_cancel or not is_somebody(user):
        return False
    if job.user_id is not None and job.user_id == user.pk:
        return True
    try:
        kind = by_name(job.operation)
    except Refused:  # an operation of another version
        return everywhere(user, "access.manage")
    needed = kind.cancel_permission(job.params)
    if everywhere(user, needed) or not can(user, needed):
        return everywhere(user, needed)
    target = kind.find(user, job.target_key) if job.target_key else None
    return target is not None and kind.allowed_to(user, target)


def cancel(job: Job, user: User | None) -> bool:
    """Ask for a cancel. A job that never began ends at once; one that began when it next looks. False: too late."""
    now = timezone.now()
    who = user.username if user else "Drover"
    if Job.objects.filter(pk=job.pk, state=State.QUEUED, attempt=0).update(
        state=State.CANCELLED, finished_at=now, cancel_requested_at=now
    ):
        JobLine.objects.create(job=job, text=_("Cancelled by %(who)s before it began.") % {"who": who})
        job.refresh_from_db()
        record.cancel_asked(job, user)
        record.ended(job)
        end_before_start(job)
        return True
    # A job whose worker died waits to be run again: it may hold half-made things, so its next run is what ends it.
    asked = Job.objects.filter(pk=job.pk, state__in=ACTIVE, cancellable=True, cancel_requested_at=None).update(
        cancel_requested_at=now
    )
    if not asked:
        return False
    JobLine.objects.create(job=job, text=_("%(who)s asked to cancel.") % {"who": who})
    record.cancel_asked(job, user)
    for child in job.children.filter(state__in=ACTIVE):
        cancel(child, user)
    job.refresh_from_db()
    announce(job)
    return True
