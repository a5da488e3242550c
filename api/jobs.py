"""Jobs: list, one with its log, cancel."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Status
from ninja.pagination import paginate

from access.rules import PersonRequest, visible
from api.pages import Pieces
from api.rights import require
from api.schemas import JobDetailOut, JobOut, Problem
from api.scopes import jobs_within
from jobs.engine import cancel, may_cancel
from jobs.errors import Refused
from jobs.models import Job

router = Router(tags=["jobs"])


def seen(request: PersonRequest) -> QuerySet[Job]:
    return jobs_within(request, visible(request.user, Job.objects.select_related("user")))


@router.get("/", response=list[JobOut])
@paginate(Pieces)
def list_jobs(
    request: PersonRequest, state: str = Query(""), operation: str = Query(""), target_key: str = Query("")
) -> QuerySet[Job]:
    """Jobs, newest first."""
    require(request, "jobs.view")
    rows = seen(request)
    wanted = {"state": state, "operation": operation, "target_key": target_key}
    return rows.filter(**{name: value for name, value in wanted.items() if value})


@router.get("/{job_id}", response={200: JobDetailOut, 404: Problem})
def get_job(request: PersonRequest, job_id: int) -> Any:
    """One job with its parameters, log, commands and children."""
    require(request, "jobs.view")
    return get_object_or_404(seen(request), pk=job_id)


@router.post("/{job_id}/cancel", response={202: JobOut, 409: Problem})
def cancel_job(request: PersonRequest, job_id: int) -> Any:
    """Ask a job to stop. 409 if it has ended or can't be stopped."""
    require(request, "jobs.view")
    job = get_object_or_404(seen(request), pk=job_id)
    if job.can_cancel and not may_cancel(request.user, job):
        raise PermissionDenied
    if not cancel(job, request.user):
        raise Refused("It has ended, or it can't be stopped any more.")
    job.refresh_from_db()
    return Status(202, job)
