"""The matrix pool x host for pages: what each cell says, and where hosts differ. Database only."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.utils.translation import gettext as _

from hosts.models import Host
from jobs.errors import Refused, Text
from storage.backends import identity
from storage.filling import FULL_PERCENT, percent_used
from storage.models import Pool, PoolOnHost
from storage.operations.pools import spec_of

FEW = 50
RANKS = {"red": 0, "orange": 1, "secondary": 2}


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

    @property
    def is_remarkable(self) -> bool:
        """In order, but not like the others: it has a remark, or its own space gets scarce."""
        is_full = not self.pool.is_shared and (self.used_percent or 0) >= FULL_PERCENT
        return self.colour == "green" and (is_full or bool(self.reason))

    @property
    def rank(self) -> int:
        """Where it stands in a list that begins with what is wrong."""
        return RANKS.get(self.colour, len(RANKS)) + (self.colour == "green" and not self.is_remarkable)

    def get_state_display(self) -> str:
        return str(self.word)


def expected_identities(pools: Sequence[Pool]) -> dict[int, str]:
    """What every host should hold: Drover's definition, or for an adopted pool what most hosts have."""
    found = {pool.pk: _defined(pool) for pool in pools if not pool.is_adopted}
    cells = PoolOnHost.objects.filter(pool__in=[pool for pool in pools if pool.is_adopted], missing_since=None)
    said = cells.exclude(identity="").order_by().values("pool", "identity").annotate(n=Count("pk"))
    for row in sorted(said, key=lambda row: (-row["n"], row["identity"])):
        found.setdefault(row["pool"], row["identity"])
    return found


def _defined(pool: Pool) -> str:
    try:
        return identity(spec_of(pool))
    except Refused:  # of a kind that is only shown
        return ""


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

    @property
    def worst_first(self) -> list[Cell]:
        return sorted(self.cells, key=lambda cell: (cell.rank, str(cell.word), cell.host.name))

    @property
    def counts(self) -> list[tuple[Cell, int]]:
        """How many cells say each word, the worst word first: one of these cells, and their number."""
        numbers = Counter((str(cell.word), cell.colour) for cell in self.cells)
        examples = {(str(cell.word), cell.colour): cell for cell in self.cells}
        found = [(cell, numbers[key]) for key, cell in examples.items()]
        return sorted(found, key=lambda one: (RANKS.get(one[0].colour, len(RANKS)), str(one[0].word)))

    @property
    def remarkable(self) -> int:
        return sum(cell.is_remarkable for cell in self.cells)


def rows(pools: Iterable[Pool], hosts: Sequence[Host]) -> list[Row]:
    """A row per pool. Four queries for any number of them; of few hosts only their cells are read."""
    known, found = list(pools), []
    expected, figures = expected_identities(known), _figures(known)
    read = PoolOnHost.objects.filter(pool__in=known).defer("uuid", "allocation_bytes", "wanted")
    if len(hosts) <= FEW:
        read = read.filter(host__in=hosts)
    by_place = {(row.pool_id, row.host_id): row for row in read}
    for pool in known:
        wanted = expected.get(pool.pk, "")
        cells = [cell_of(pool, host, by_place.get((pool.pk, host.pk)), wanted) for host in hosts]
        found.append(Row(pool, cells, **figures.get(pool.pk, NOWHERE)))
    return found


NOWHERE = {"active": 0, "present": 0, "capacity_bytes": None, "available_bytes": None}
USABLE = Q(is_active=True, missing_since=None, error="")
SIZED = USABLE & Q(capacity_bytes__isnull=False, available_bytes__isnull=False)


def _figures(pools: Sequence[Pool]) -> dict[int, dict[str, Any]]:
    """Active and present cells, capacity and room: of one host if all see the same, else of all together."""
    cells = PoolOnHost.objects.filter(pool__in=pools).order_by().values("pool")
    counted = cells.annotate(
        active=Count("pk", filter=USABLE),
        present=Count("pk", filter=Q(missing_since=None)),
        capacity=Sum("capacity_bytes", filter=SIZED),
        available=Sum("available_bytes", filter=SIZED),
    )
    found = {
        row["pool"]: {
            "active": row["active"],
            "present": row["present"],
            "capacity_bytes": row["capacity"],
            "available_bytes": row["available"],
        }
        for row in counted
    }
    newest = PoolOnHost.objects.filter(SIZED, pool=OuterRef("pk")).order_by(F("seen_at").desc(nulls_last=True), "pk")
    shared = Pool.objects.filter(pk__in=[pool.pk for pool in pools if pool.is_shared]).annotate(
        capacity=Subquery(newest.values("capacity_bytes")[:1]), available=Subquery(newest.values("available_bytes")[:1])
    )
    for pk, capacity, available in shared.order_by().values_list("pk", "capacity", "available"):
        if pk in found:
            found[pk] |= {"capacity_bytes": capacity, "available_bytes": available}
    return found
