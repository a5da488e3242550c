"""What jobs tell the audit: asked for, refused, ended, asked to be cancelled."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from access.models import User
from audit.entries import record
from audit.states import Result
from audit.things import Thing
from jobs.errors import Refused
from jobs.models import Job
from jobs.operations import Operation
from jobs.states import State

UNTOLD = frozenset({"secret"})  # a reference that is of no use to anybody
RESULT = {
    State.SUCCEEDED: Result.OK,
    State.FAILED: Result.FAILED,
    State.ERRORED: Result.FAILED,
    State.CANCELLED: Result.CANCELLED,
}


def accepted(job: Job) -> None:
    details: dict[str, Any] = {name: value for name, value in job.params.items() if name not in UNTOLD}
    if job.parent_id:
        details["part of job"] = job.parent_id
    record(
        job.operation,
        job.title,
        by=job.user,
        on=_target(job),
        result=Result.ACCEPTED,
        job_number=job.pk,
        details=details,
    )


@contextmanager
def refusals(operation: Operation, user: User | None) -> Iterator[None]:
    """A person's wish that is refused inside is told, and refused. The system's own are no news."""
    try:
        yield
    except (Refused, PermissionDenied) as refused:
        if user is not None:
            reason = refused.message if isinstance(refused, Refused) else _("No right to do this.")
            words = f"{operation.verb} {operation.target or ''}".strip()  # its title may need what is refused here
            thing = Thing(operation.target_kind, operation.key(), str(operation.target or ""))
            record(operation.name, words, by=user, on=thing, result=Result.REFUSED, reason=reason)
        raise


def ended(job: Job) -> None:
    """In the transaction that stores the end."""
    record(
        job.operation,
        job.title,
        by=job.user,
        on=_target(job),
        result=RESULT[State(job.state)],
        reason=job.error,
        job_number=job.pk,
    )


def cancel_asked(job: Job, user: User | None) -> None:
    words = _("Cancel: %(job)s") % {"job": job.title}
    record("jobs.cancel", words, by=user, on=Thing("job", str(job.pk), job.title), job_number=job.pk)


def _target(job: Job) -> Thing:
    return Thing(job.target_kind, job.target_key, job.target_label)
