"""The dock: what runs now and what ended last, on every page. Two queries."""

from typing import Any

from access.rules import Person, visible
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
FIELDS = (  # what the dock and a job's line in it show
    "operation",
    "title",
    "target_kind",
    "target_key",
    "target_label",
    "state",
    "percent",
    "step",
    "error",
    "created_at",
    "started_at",
    "finished_at",
    "cancel_requested_at",
    "cancellable",
    "user__username",
)


def dock(user: Person) -> dict[str, Any]:
    """running: active jobs (parts of a job stay with it); recent: what ended last; last: the newest of these."""
    mine = visible(user, Job.objects.filter(parent=None)).select_related("user").only(*FIELDS)
    running = list(mine.filter(finished_at=None).order_by("id")[: SHOWN + 1])
    recent = list(mine.exclude(finished_at=None).order_by("-id")[:RECENT])
    last = recent[0] if recent else None
    if last is not None:
        last.icon, last.tone = ICONS[State(last.state)]  # type: ignore[attr-defined]
    count = f"{SHOWN}+" if len(running) > SHOWN else str(len(running))
    return {"running": running[:SHOWN], "count": count, "recent": recent, "last": last}
