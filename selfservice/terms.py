"""What follows of a lease and when: a plain calculation on a request's row, for the clock and for the pages.

The grace of each stage begins when the stage really began (`stage_until` is set then), so a manager that was off for
a week takes one step, and the next one a full grace later. Nothing ends or is deleted without a warning before.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.conf import settings

from selfservice.models import Request
from selfservice.states import ENDED, LEASED, RequestState

MOST_DAYS = 3650  # of a lease, and of what is given at once
S = RequestState


class Due(StrEnum):
    """What the clock does."""

    WARN = "warn"
    END = "end"
    ARCHIVE = "archive"
    DELETE = "delete"


class Next(NamedTuple):
    what: Due
    at: datetime


def days(number: float) -> timedelta:
    """So many days of a lease; they can be made short to try leases out."""
    return timedelta(seconds=number * settings.LEASE_DAY_S)


def in_days(span: timedelta) -> float:
    return span.total_seconds() / settings.LEASE_DAY_S


def look_every() -> timedelta:
    """How often the clock looks."""
    return timedelta(seconds=settings.LEASE_LOOK_S)


def retry() -> timedelta:
    """After a step that failed, because a host did not answer for example."""
    return max(days(1 / 24), look_every())


def distances(row: Request) -> list[float]:
    """How many days before its end people are told, longest first. What is shorter than that is told of at its half."""
    if row.state == S.ARCHIVED:
        return [min(settings.LEASE_WARN_DAYS[-1], settings.LEASE_ARCHIVE_DAYS / 2)]
    if row.leased_at is None or row.until is None:
        return list(settings.LEASE_WARN_DAYS)
    length = in_days(row.until - row.leased_at)
    return [one for one in settings.LEASE_WARN_DAYS if one < length] or [length / 2]


def untold(row: Request) -> list[float]:
    """The distances of which nobody was told yet."""
    return [one for one in distances(row) if row.warned_days is None or one < row.warned_days]


def deadline(row: Request) -> datetime | None:
    """When its present stage ends: it is shut down, archived, or deleted."""
    return row.until if row.state in LEASED else row.stage_until if row.state in ENDED else None


def next_step(row: Request) -> Next | None:
    """What comes next, and when. None: nothing does by itself."""
    ends = deadline(row)
    if row.returned_at is not None and row.state in LEASED | ENDED:
        return Next(Due.DELETE, row.returned_at)
    if ends is None or row.pinned_at is not None:
        return None
    if row.state == S.EXPIRED:
        return Next(Due.ARCHIVE, ends)
    if row.state == S.ARCHIVED and row.longer_at is not None:
        return None  # somebody has to say first whether they get more time
    if left := untold(row):
        return Next(Due.WARN, ends - days(left[0]))
    return Next(Due.DELETE if row.state == S.ARCHIVED else Due.END, ends)


def next_at(row: Request) -> datetime | None:
    found = next_step(row)
    return found.at if found else None


def warning(row: Request, now: datetime) -> dict[str, Any]:
    """The columns after people are told now: of the shortest distance whose time has come.

    Late warnings (the manager was off) postpone the end, so that there is always the last distance to do something.
    """
    ends = deadline(row)
    come = [one for one in untold(row) if ends is not None and ends - days(one) <= now]
    if ends is None or not come:
        return {}
    told, last = come[-1], distances(row)[-1]
    changes: dict[str, Any] = {"warned_days": told}
    tolerance = days(last / 10) + 2 * look_every()
    if told == last and ends - days(last) + tolerance < now:
        changes["until" if row.state in LEASED else "stage_until"] = now + days(last)
    return changes


def begin(row: Request, now: datetime) -> dict[str, Any]:
    """The columns of a lease that begins now. A row that has an end already keeps it: that of its class."""
    most = row.version.most_lease_days
    if row.until is not None:
        return {"most_until": None if most is None else now + days(most), **renewed(row, row.until, now)}
    if row.lease_days is None:
        return {"until": None, "most_until": None, "leased_at": now, "next_at": None}
    until = now + days(row.lease_days)
    return {"most_until": None if most is None else now + days(most), **renewed(row, until, now)}


def renewed(row: Request, until: datetime, now: datetime) -> dict[str, Any]:
    """The columns of a lease that lasts until then, from now on: all its warnings are to come."""
    columns = {"until": until, "leased_at": now, "stage_until": None, "warned_days": None, "unused_at": None}
    draft = Request(state=S.READY, pinned_at=row.pinned_at, **columns)
    return {**columns, "next_at": next_at(draft)}


def one_click(row: Request, now: datetime) -> datetime | None:
    """Until when it is extended without asking anybody: another lease, up to the maximum. None: not any more."""
    if row.until is None or row.lease_days is None:
        return None
    wanted = max(now, row.until) + days(row.lease_days)
    found = wanted if row.most_until is None else min(wanted, row.most_until)
    return found if found > max(now, row.until) else None


class Left(NamedTuple):
    """How much of the present stage is left, for pages. percent of its length."""

    until: datetime
    seconds: float
    percent: float
    is_short: bool  # people were told that it ends, or it has ended

    @property
    def warn(self) -> int:
        """From which percent on its bar is orange."""
        return 0 if self.is_short else 101


def left(row: Request, now: datetime) -> Left | None:
    ends = deadline(row)
    if ends is None:
        return None
    stages = {S.EXPIRED: settings.LEASE_GRACE_DAYS, S.ARCHIVED: settings.LEASE_ARCHIVE_DAYS}
    stage = stages.get(RequestState(row.state))
    begun = row.leased_at if stage is None else ends - days(stage)
    length = (ends - begun).total_seconds() if begun else 0.0
    seconds = max(0.0, (ends - now).total_seconds())
    percent = 100 * seconds / length if length > 0 else 0.0
    return Left(ends, seconds, min(100.0, percent), row.state != S.READY)
