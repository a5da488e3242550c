"""The dock: what runs now and what ended last, on every page; the opened one lists more. Two queries each."""

from typing import Any

from access.rules import Person, visible
from jobs.discretion import tidy
from jobs.models import Job
from jobs.states import State

SHOWN = 6
RECENT = 5
ICONS = {
    State.SUCCEEDED: ("check", "icon-good"),
    State.CANCELLED: ("ban", "icon-warn"),
    State.FAILED: ("x", "icon-bad"),
    State.ERRORED: ("bug", "icon-bad"),
}
STRIP = ("title", "state", "percent", "step", "finished_at")
TARGET = ("target_kind", "target_key", "target_label")
TIMES = ("created_at", "started_at", "cancel_requested_at")
LINE = (*STRIP, *TARGET, *TIMES, "operation", "error", "cancellable", "user__username")


def dock(user: Person) -> dict[str, Any]:
    """running: active jobs (parts of a job stay with it); count: how many, in words; last: what ended last."""
    mine = visible(user, Job.objects.filter(parent=None)).only(*STRIP)
    running = list(mine.filter(finished_at=None).order_by("id")[: SHOWN + 1])
    last = mine.exclude(finished_at=None).order_by("-id").first()
    tidy(user, [*running, *([last] if last else [])])
    if last is not None:
        last.icon, last.tone = ICONS[State(last.state)]  # type: ignore[attr-defined]
    count = f"{SHOWN}+" if len(running) > SHOWN else str(len(running))
    return {"running": running[:SHOWN], "count": count, "last": last}


def lines(user: Person) -> dict[str, list[Job]]:
    """What the opened dock lists: the running jobs and those that ended last."""
    mine = visible(user, Job.objects.filter(parent=None)).select_related("user").only(*LINE)
    running = list(mine.filter(finished_at=None).order_by("id")[:SHOWN])
    recent = list(mine.exclude(finished_at=None).order_by("-id")[:RECENT])
    tidy(user, [*running, *recent])
    return {"running": running, "recent": recent}
