"""The five figures on top of the overview, each summed up in SQL: five queries whatever the size.

Three of these, `look`, are what the rules of `cluster.attention` ask first as well.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.db.models import Count, F, FloatField, Max, Q, QuerySet, Sum, Value
from django.utils import timezone

from access.rules import Person, can, visible
from hosts.models import RENEW_BEFORE, Host
from hosts.states import HostState
from storage.models import PoolOnHost
from vms.listing import Total, totals
from vms.models import Vm
from vms.states import VmState

CLOCK_S = 2.0
WRONG_CLOCK = Q(clock_offset_s__gt=CLOCK_S) | Q(clock_offset_s__lt=-CLOCK_S)
ANSWERED = [HostState.UP, HostState.FENCED]


class PoolUse(NamedTuple):
    pk: int
    name: str
    host_name: str  # "" for a shared pool
    capacity: int
    used: int

    @property
    def percent(self) -> float:
        return 100.0 * self.used / self.capacity


def host_figures() -> dict[str, Any]:
    """Sums over the managed hosts, and how many a rule of `cluster.attention` has something to say about.

    Hosts of the same kind are summed up together: a condition in each sum would take longer.
    """
    kinds = Host.objects.order_by().values("is_managed", "observed_state", "maintenance")
    rows = kinds.annotate(
        number=Count("pk"),
        late=Count("pk", filter=WRONG_CLOCK),
        ending=Count("pk", filter=Q(certificate_until__lt=timezone.now() + RENEW_BEFORE)),
        all_cpus=Sum("cpus"),
        measured=Sum("cpus", filter=Q(cpu_percent__isnull=False)),
        load=Sum(F("cpu_percent") * F("cpus"), output_field=FloatField()),
        memory=Sum("memory_bytes", filter=Q(memory_free_bytes__isnull=False)),
        free=Sum("memory_free_bytes"),
        last=Max("seen_at"),
    )
    known = list(rows)
    managed = [row for row in known if row["is_managed"]]  # not those that are still being added
    up = [row for row in managed if row["observed_state"] == HostState.UP]
    found = {name: total(up, name) for name in ("late", "measured", "load", "memory", "free")}
    found |= {
        "all": total(managed, "number"),
        "adding": total(known, "number") - total(managed, "number"),
        "failing": total([row for row in managed if row["observed_state"] not in ANSWERED], "number"),
        "ending": total(managed, "ending"),
        "up": total(up, "number"),
        "resting": total([row for row in up if row["maintenance"]], "number"),
        "up_cpus": total(up, "all_cpus"),
        "last_seen": max((row["last"] for row in managed if row["last"]), default=None),
    }
    found["silent"] = found["all"] - found["up"]
    found["cpu_percent"] = found["load"] / found["measured"] if found["measured"] else None
    found["used"] = found["memory"] - found["free"] if found["memory"] else None
    found["memory_percent"] = 100.0 * found["used"] / found["memory"] if found["memory"] else None
    return found


def total(rows: Iterable[Mapping[str, Any]], name: str) -> Any:
    return sum(row[name] or 0 for row in rows)


def vm_figures(user: Person) -> dict[str, int]:
    found = totals(visible(user, Vm.objects.all()))
    running, unknown = (found.get(state, Total(0, 0)) for state in (VmState.RUNNING, VmState.UNKNOWN))
    count = sum(total.number for total in found.values())
    resting = count - running.number - unknown.number
    return {
        "all": count,
        "running": running.number,
        "unknown": unknown.number,
        "promised": running.vcpus,
        "resting": resting,
    }


SIZED = PoolOnHost.objects.filter(missing_since=None, capacity_bytes__gt=0, available_bytes__isnull=False).order_by()
SHARED = (
    SIZED.filter(pool__is_shared=True)
    .annotate(place=Value(""))
    .values_list("pool_id", "pool__name", "place")
    .annotate(capacity=Max("capacity_bytes"), used=Max(F("capacity_bytes") - F("available_bytes")))
)
OWN: QuerySet[PoolOnHost, tuple[Any, ...]] = SIZED.filter(pool__is_shared=False).values_list(
    "pool_id", "pool__name", "host__name", "capacity_bytes", "available_bytes"
)


def pool_uses() -> list[PoolUse]:
    """How full each pool is, fullest first: a shared one counts once, others once a host. Two queries."""
    shared = [PoolUse(*row) for row in SHARED.iterator()]
    own = [PoolUse(pk, name, host, size, size - free) for pk, name, host, size, free in OWN.iterator(chunk_size=2000)]
    return sorted(shared + own, key=lambda use: -use.percent)


def storage_figures(uses: list[PoolUse]) -> dict[str, Any]:
    capacity, used = sum(use.capacity for use in uses), sum(use.used for use in uses)
    percent = 100.0 * used / capacity if capacity else None
    return {"capacity": capacity, "used": used, "percent": percent, "fullest": uses[0] if uses else None}


class Look(NamedTuple):
    """One look at hosts and pools."""

    hosts: dict[str, Any]  # host_figures()
    uses: list[PoolUse]


def look() -> Look:
    return Look(host_figures(), pool_uses())


def figures(user: Person, seen: Look | None = None) -> dict[str, Any]:
    """What `cluster/_figures.html` needs. People who see no hosts get only what is theirs."""
    vms = vm_figures(user)
    if not can(user, "hosts.view"):
        return {"vms": vms, "hosts": None, "storage": None}
    seen = seen or look()
    return {"vms": vms, "hosts": seen.hosts, "storage": storage_figures(seen.uses)}
