"""Jobs: the list, one job with its live pieces, cancel, the dock."""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from access.models import User
from access.rules import Person, can, permission_required, visible
from jobs import engine
from jobs.discretion import tidy, tidy_lines
from jobs.dock import lines
from jobs.errors import Refused
from jobs.filters import JobFilter
from jobs.models import Job
from jobs.operations import by_name
from jobs.states import State
from ui import text
from ui.htmx import is_partial, note_response

HEAVY = ("params", "series", "detail", "result", "technical", "commands", "locks")  # no line of a list shows them
PER_PAGE = 50
LINES = 500
PARTS = 200


def get_job(request: HttpRequest, pk: int) -> Job:
    job: Job = get_object_or_404(visible(request.user, Job.objects.select_related("user", "parent")), pk=pk)
    tidy(request.user, [job])
    return job


@require_GET
@permission_required("jobs.view")
def index(request: HttpRequest) -> HttpResponse:
    form = JobFilter(request.GET, person=request.user)
    jobs = form.apply(visible(request.user, Job.objects.select_related("user").defer(*HEAVY)))
    page = Paginator(jobs.order_by("-id"), PER_PAGE).get_page(request.GET.get("page"))
    parts = Job.objects.filter(parent__in=[job.pk for job in page]).values_list("parent").annotate(n=Count("pk"))
    counts = dict(parts.order_by())
    tidy(request.user, page)
    for job in page:
        job.parts = counts.get(job.pk, 0)  # type: ignore[attr-defined]
    context = {"form": form, "page": page, "narrowed": form.is_narrowed(), "keep_days": settings.JOBS_KEEP_DAYS}
    return render(request, "jobs/_table.html" if is_partial(request) else "jobs/index.html", context)


NUMBERED = {  # what a number stands for: the rooms above are looked up by name
    "host": "hosts.Host",
    "hosts": "hosts.Host",
    "source": "hosts.Host",
    "destination": "hosts.Host",
    "pool": "storage.Pool",
    "image": "storage.Image",
    "iso": "storage.Image",
    "owner": "access.User",
    "group": "access.Group",
}
UNSHOWN = frozenset({"secret"})  # a reference that is of no use to anybody


def facts(user: Person, values: dict[str, Any]) -> list[tuple[str, str]]:
    """Parameters or a result as rows to read: nothing of what was left open, sizes and times with their units."""
    shown = {name: value for name, value in values.items() if name not in UNSHOWN and value not in (None, "", [], {})}
    return [_fact(user, name, value) for name, value in shown.items() if f"{name}_name" not in shown]


def _fact(user: Person, name: str, value: Any) -> tuple[str, str]:
    stem, _line, unit = name.rpartition("_")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and unit in UNITS:
        return stem.replace("_", " "), UNITS[unit](value)
    words = name.removesuffix("_name").replace("_", " ")
    if isinstance(value, bool):
        return words, _("yes") if value else _("no")
    several = value if isinstance(value, list) else [value]
    if name in NUMBERED and all(isinstance(one, int) for one in several):
        return words, ", ".join(_names(user, NUMBERED[name], several))
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return words, ", ".join(value)
    return words, value if isinstance(value, str) else _told(value)


def _told(value: Any) -> str:
    """What has parts in a few words, without what was left open: "bridge: br0, mac: 52:54:00:01:02:03"."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return "; ".join(filter(None, map(_told, value)))
    if not isinstance(value, dict):
        return str(value)
    parts = {
        name.replace("_", " "): _told(part) for name, part in value.items() if part not in (None, "", [], {}, False)
    }
    return ", ".join(f"{name}: {part}" for name, part in parts.items() if part)


def _names(user: Person, kind: str, keys: list[int]) -> list[str]:
    """What they are called, as far as this person may see them; gone ones by number."""
    known = {row.pk: str(row) for row in visible(user, apps.get_model(kind)._default_manager.filter(pk__in=keys))}
    return [known.get(key) or _("no. %(n)s") % {"n": key} for key in keys]


UNITS: dict[str, Callable[[float], str]] = {
    "bytes": text.size,
    "mib": lambda mib: text.size(mib * 1024**2),
    "s": text.duration,
    "ms": lambda milliseconds: text.duration(milliseconds / 1000),
}


def target_url(request: HttpRequest, job: Job) -> str:
    """The page of what the job was about, "" if that is gone or not for this person."""
    try:
        target = by_name(job.operation).find(request.user, job.target_key) if job.target_key else None  # type: ignore[arg-type]
    except Refused:
        return ""
    return "" if target is None else str(target.get_absolute_url())


def header_context(request: HttpRequest, job: Job) -> dict[str, Any]:
    trace = job.state != State.ERRORED or can(request.user, "jobs.trace")
    return {
        "job": job,
        "may_cancel": engine.may_cancel(request.user, job),
        "target_url": target_url(request, job),
        "technical": job.technical if trace else "",
        "result": facts(request.user, job.result) if not job.is_active else [],
    }


def parts_context(request: HttpRequest, job: Job) -> dict[str, Any]:
    parts = list(job.children.select_related("user").defer(*HEAVY).order_by("id")[:PARTS])
    tidy(request.user, parts)
    return {"job": job, "parts": parts, "topics": " ".join(f"job.{part.pk}" for part in parts)}


def log_context(request: HttpRequest, job: Job) -> dict[str, Any]:
    lines = list(job.lines.order_by("-id")[: LINES + 1])
    tidy_lines(request.user, lines)
    return {"job": job, "lines": lines[:LINES][::-1], "cut": len(lines) > LINES}


@require_GET
@permission_required("jobs.view")
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    context = header_context(request, job) | parts_context(request, job) | log_context(request, job)
    return render(request, "jobs/detail.html", context | {"params": facts(request.user, job.params)})


@require_GET
@permission_required("jobs.view")
def state(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "jobs/_state.html", header_context(request, get_job(request, pk)))


@require_GET
@permission_required("jobs.view")
def log(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "jobs/_log.html", log_context(request, get_job(request, pk)))


@require_GET
@permission_required("jobs.view")
def parts(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "jobs/_parts.html", parts_context(request, get_job(request, pk)))


@require_POST
@permission_required("jobs.view")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_job(request, pk)
    if not job.can_cancel:
        return note_response(request, _("It is too late to cancel this job."), job.get_absolute_url())
    if not engine.may_cancel(request.user, job):
        raise PermissionDenied
    if not engine.cancel(job, User.objects.get(username=request.user.get_username())):
        return note_response(request, _("It is too late to cancel this job."), job.get_absolute_url())
    message = _("Cancelling: %(job)s") % {"job": job.title}
    return note_response(request, message, job.get_absolute_url(), bad=False)


@require_GET
@permission_required("jobs.view")
def dock(request: HttpRequest) -> HttpResponse:
    return render(request, "jobs/_dock_strip.html", {})


@require_GET
@permission_required("jobs.view")
def dock_list(request: HttpRequest) -> HttpResponse:
    return render(request, "jobs/_dock_list.html", lines(request.user))
