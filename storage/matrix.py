"""The matrix pool x host for pages: what each cell says, and where hosts differ. Database only."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hosts.models import Host
from jobs.errors import Refused, Text
from storage.backends import identity
from storage.models import Pool, PoolOnHost
from storage.operations.pools import spec_of

FULL_PERCENT = 80
VERY_FULL_PERCENT = 90


@dataclass(frozen=True)
class Cell:
    """One pool on one host. `row` None: the pool is not meant to be there."""

    pool: Pool
    host: Host
    row: PoolOnHost | None
    word: Text = ""
    colour: str = "secondary"
    reason: str = ""

    @property
    def needs_care(self) -> bool:
        return self.colour in {"red", "orange"}

    @property
    def used_percent(self) -> float | None:
        return percent_used(self.row) if self.row else None

    def get_state_display(self) -> str:
        return str(self.word)


def percent_used(row: PoolOnHost) -> float | None:
    """How full the pool is there, None if nobody knows."""
    if not row.capacity_bytes or row.available_bytes is None:
        return None
    return 100.0 * (row.capacity_bytes - row.available_bytes) / row.capacity_bytes


def expected_identity(pool: Pool, rows: Sequence[PoolOnHost]) -> str:
    """What every host should hold: Drover's definition, or for an adopted pool what most hosts have."""
    if not pool.is_adopted:
        try:
            return identity(spec_of(pool))
        except Refused:  # of a kind that is only shown
            return ""
    counts = Counter(row.identity for row in rows if row.identity and row.missing_since is None)
    return counts.most_common(1)[0][0] if counts else ""


def cell_of(pool: Pool, host: Host, row: PoolOnHost | None, expected: str) -> Cell:
    """What to say about one cell."""
    if row is None:
        return Cell(pool, host, None)
    word, colour, reason = _verdict(pool, host, row, expected)
    return Cell(pool, host, row, word, colour, reason)


def _verdict(pool: Pool, host: Host, row: PoolOnHost, expected: str) -> tuple[str, str, str]:
    if row.seen_at is None and row.failure:
        return _("failed"), "red", row.failure
    if row.seen_at is None:
        return _("not yet there"), "secondary", ""
    if not host.is_up:
        return _("unknown"), "secondary", _("The host does not answer.")
    if row.missing_since is not None:
        return _("missing"), "red", row.failure or _("The host no longer has this pool.")
    if expected and row.identity and row.identity != expected:
        text = _("Another source under the same name: %(found)s instead of %(expected)s.")
        return _("differs"), "red", text % {"found": row.identity, "expected": expected}
    if row.error:
        return _("does not answer"), "red", row.error
    if not row.is_active:
        return _("stopped"), "orange", row.failure
    if row.autostart != pool.autostart:
        text = _("starts by itself here") if row.autostart else _("does not start by itself after the host's reboot")
        return _("active"), "green", text
    return _("active"), "green", row.failure


@dataclass(frozen=True)
class Row:
    """One pool with its cells in the order of the hosts asked for, and its figures over all hosts."""

    pool: Pool
    cells: list[Cell]
    active: int
    present: int
    capacity_bytes: int | None
    available_bytes: int | None

    @property
    def used_bytes(self) -> int | None:
        if self.capacity_bytes is None or self.available_bytes is None:
            return None
        return self.capacity_bytes - self.available_bytes

    @property
    def used_percent(self) -> float | None:
        used = self.used_bytes
        return None if used is None or not self.capacity_bytes else 100.0 * used / self.capacity_bytes

    @property
    def troubles(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.needs_care]


def rows(pools: Iterable[Pool], hosts: Sequence[Host]) -> list[Row]:
    """A row per pool; pools must come with `presences` prefetched. No further query."""
    found = []
    by_id = {host.pk: host for host in hosts}
    for pool in pools:
        presences = list(pool.presences.all())
        expected = expected_identity(pool, presences)
        by_host = {row.host_id: row for row in presences}
        cells = [cell_of(pool, host, by_host.get(host.pk), expected) for host in by_id.values()]
        found.append(Row(pool, cells, *_figures(pool, presences)))
    return found


def _figures(pool: Pool, presences: Sequence[PoolOnHost]) -> tuple[int, int, int | None, int | None]:
    """Active and present cells, capacity and room: of one host if all see the same, else of all together."""
    usable = [row for row in presences if row.is_usable]
    sized: list[Any] = [row for row in usable if row.capacity_bytes is not None and row.available_bytes is not None]
    present = sum(row.missing_since is None for row in presences)
    if not sized:
        return len(usable), present, None, None
    if pool.is_shared:
        newest = max(sized, key=lambda row: row.seen_at.timestamp() if row.seen_at else 0)
        return len(usable), present, newest.capacity_bytes, newest.available_bytes
    capacity = sum(row.capacity_bytes for row in sized)
    return len(usable), present, capacity, sum(row.available_bytes for row in sized)
