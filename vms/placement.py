"""Where a new VM goes best: every host with what speaks for and against it. Database only."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from hosts.models import Host, NetworkOnHost
from jobs.errors import Refused
from storage.models import Image, Pool, PoolOnHost
from ui import text
from ui.rows import light
from vms.models import Vm
from vms.states import ALIVE, VmState

GIB = 1024**3
RESERVE_BYTES = GIB  # for the host itself, at most a twentieth of it
VCPUS_PER_CPU = 4.0  # so many promised vCPUs a CPU count as full
COLUMNS = (  # of a host, that speak for or against it
    "name",
    "observed_state",
    "maintenance",
    "memory_bytes",
    "memory_free_bytes",
    "cpus",
    "cpu_percent",
    "has_kvm",
    "bridges",
)
SMALLEST_ROOM_BYTES = 64 * 1024**2  # what a copy-on-write disk needs at once


class Promised(NamedTuple):
    """What VMs that run or are being made on a host may use."""

    memory_bytes: int = 0
    vcpus: int = 0
    vms: int = 0


@dataclass(frozen=True)
class Wish:
    """What is to be placed. pools and images must be usable there, networks and bridges active."""

    memory_bytes: int
    vcpus: int
    pools: tuple[Pool, ...] = ()
    images: tuple[Image, ...] = ()
    networks: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """One thing that was looked at. is_hard: a person's choice of the host can't overrule it."""

    ok: bool
    text: str
    is_hard: bool = True


@dataclass
class Candidate:
    """One host as a place: `fits` for the best place, `is_possible` if a person insists on it."""

    host: Host
    reasons: list[Reason] = field(default_factory=list)
    free_bytes: int | None = None
    score: float = 0.0

    @property
    def fits(self) -> bool:
        return all(reason.ok for reason in self.reasons)

    @property
    def is_possible(self) -> bool:
        return all(reason.ok or not reason.is_hard for reason in self.reasons)

    @property
    def why(self) -> str:
        """What speaks for it, or else what speaks against it."""
        return " ".join(reason.text for reason in self.reasons if reason.ok == self.fits)

    @property
    def against(self) -> list[str]:
        return [reason.text for reason in self.reasons if not reason.ok]


def promised() -> dict[int, Promised]:
    """Per host what is promised to VMs that are alive or being made there."""
    counted = ALIVE | {VmState.CREATING}
    rows = (
        Vm.objects.filter(observed_state__in=counted, missing_since=None, host__isnull=False)
        .order_by()
        .values("host")
        .annotate(memory=Sum("memory_bytes"), cpus=Sum("vcpus"), number=Count("pk"))
    )
    return {row["host"]: Promised(row["memory"] or 0, row["cpus"] or 0, row["number"]) for row in rows}


class Places:
    """The database's knowledge about all hosts, read once; `take` counts what is placed meanwhile."""

    def __init__(self, wish: Wish, exclude: Collection[int] = ()) -> None:
        self.wish = wish
        hosts = Host.objects.filter(is_managed=True).exclude(pk__in=exclude)
        self.hosts = light(hosts, *COLUMNS)
        self.promised = promised()
        pools = {pool.pk for pool in wish.pools} | {image.pool_id for image in wish.images}
        self.pools = {(row.pool_id, row.host_id): row for row in PoolOnHost.objects.filter(pool__in=pools)}
        rows = NetworkOnHost.objects.filter(network__name__in=wish.networks, missing_since=None, is_active=True)
        self.networks = set(rows.values_list("network__name", "host_id"))

    def take(self, host: Host) -> None:
        have = self.promised.get(host.pk, Promised())
        more = Promised(have.memory_bytes + self.wish.memory_bytes, have.vcpus + self.wish.vcpus, have.vms + 1)
        self.promised[host.pk] = more

    def candidates(self) -> list[Candidate]:
        """All hosts, best first, those that can't take it last."""
        found = [self.weigh(host) for host in self.hosts]
        return sorted(found, key=lambda one: (not one.fits, len(one.against), -one.score, one.host.name))

    def weigh(self, host: Host) -> Candidate:
        one = Candidate(host)
        if not host.is_up:
            one.reasons.append(Reason(ok=False, text=_("It does not answer (%s).") % host.get_state_display()))
            return one
        if host.maintenance:
            one.reasons.append(Reason(ok=False, text=_("It is in maintenance.")))
        have = self.promised.get(host.pk, Promised())
        self._weigh_memory(one, have)
        self._weigh_cpu(one, have)
        one.reasons += [*self._pools(host), *self._images(host), *self._networks(host)]
        return one

    def _weigh_memory(self, one: Candidate, have: Promised) -> None:
        host, wanted = one.host, self.wish.memory_bytes
        if not host.memory_bytes:
            one.reasons.append(Reason(ok=False, text=_("Its memory is not known yet.")))
            return
        free = host.memory_bytes - have.memory_bytes
        if host.memory_free_bytes is not None:
            free = min(free, host.memory_free_bytes)
        one.free_bytes = free = max(0, free - min(RESERVE_BYTES, host.memory_bytes // 20))
        figures = {"free": text.size(free), "all": text.size(host.memory_bytes)}
        if wanted > host.memory_bytes:
            one.reasons.append(Reason(ok=False, text=_("It has only %(all)s of memory.") % figures))
        elif wanted > free:
            words = _("Only %(free)s of %(all)s memory is free, less what is promised.") % figures
            one.reasons.append(Reason(ok=False, text=words, is_hard=False))
        else:
            one.reasons.append(Reason(ok=True, text=_("%(free)s of %(all)s memory free.") % figures))
        one.score += 0.6 * (free - wanted) / host.memory_bytes

    def _weigh_cpu(self, one: Candidate, have: Promised) -> None:
        host, wanted = one.host, self.wish.vcpus
        figures = {"cpus": host.cpus, "promised": have.vcpus}
        if wanted > host.cpus:
            words = _("It has only %(cpus)s CPUs.") % figures
            one.reasons.append(Reason(ok=False, text=words, is_hard=False))
        else:
            words = _("%(promised)s vCPUs promised on %(cpus)s CPUs.") % figures
            one.reasons.append(Reason(ok=True, text=words))
        load = max((host.cpu_percent or 0) / 100, min(1.0, have.vcpus / (VCPUS_PER_CPU * max(1, host.cpus))))
        one.score += 0.4 * (1 - load) + (0.2 if host.has_kvm else 0.0)

    def _pools(self, host: Host) -> Iterable[Reason]:
        for pool in self.wish.pools:
            cell, words = self.pools.get((pool.pk, host.pk)), {"pool": pool.name}
            if cell is None or not cell.is_usable:
                yield Reason(ok=False, text=_("The pool %(pool)s is not active there.") % words)
            elif cell.available_bytes is not None and cell.available_bytes < SMALLEST_ROOM_BYTES:
                yield Reason(ok=False, text=_("The pool %(pool)s is full.") % words)
            else:
                yield Reason(ok=True, text=_("Pool %(pool)s is active.") % words)

    def _images(self, host: Host) -> Iterable[Reason]:
        for image in self.wish.images:
            cell, words = self.pools.get((image.pool_id, host.pk)), {"image": image, "pool": image.pool.name}
            if image.host_id is not None and image.host_id != host.pk:
                where = {"image": image, "host": image.host}
                yield Reason(ok=False, text=_("%(image)s lies on %(host)s only.") % where)
            elif cell is None or not cell.is_usable:
                text_ = _("%(image)s is in the pool %(pool)s, which is not active there.") % words
                yield Reason(ok=False, text=text_)

    def _networks(self, host: Host) -> Iterable[Reason]:
        for name in self.wish.networks:
            if (name, host.pk) in self.networks:
                yield Reason(ok=True, text=_("Network %(name)s is active.") % {"name": name})
            else:
                yield Reason(ok=False, text=_("The network %(name)s is not active there.") % {"name": name})
        for name in self.wish.bridges:
            if name in host.bridges:
                yield Reason(ok=True, text=_("It has the bridge %(name)s.") % {"name": name})
            else:
                yield Reason(ok=False, text=_("It has no bridge %(name)s.") % {"name": name})


def candidates(wish: Wish, exclude: Collection[int] = ()) -> list[Candidate]:
    """Every managed host as a place for this wish, best first. Six queries whatever the number of hosts."""
    return Places(wish, exclude).candidates()


def best(wish: Wish, places: Places | None = None) -> Candidate:
    """The best place. Raises Refused with the reasons of the nearest miss."""
    found = (places or Places(wish)).candidates()
    if not found:
        raise Refused(_("There is no host yet: add one first."), field="host")
    if not found[0].fits:
        miss: dict[str, Any] = {"host": found[0].host, "why": " ".join(found[0].against)}
        raise Refused(_("No host can take it. The nearest is %(host)s: %(why)s") % miss, field="host")
    return found[0]
