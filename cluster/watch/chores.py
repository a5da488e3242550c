"""What is read of a host besides states: facts, load, networks, addresses, pools, a definition now and then.

Each chore runs in a thread of the crew, never twice at once for a host, and never holds up sweeps and events.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import DatabaseError
from django.utils import timezone

from cluster.watch.crew import Crew, Late
from cluster.watch.pools import PoolReader
from cluster.watch.side import CALL_S, Side
from cluster.watch.store import Store
from hosts import sync as hosts_sync
from hosts.models import Host
from virt import moves, survey
from virt.errors import VirtError
from virt.events import Kind, Note
from virt.hostinfo import Pulse, pulse
from virt.inventory.domains import AGENT, ARP, LEASE, DomainState, read_addresses
from virt.inventory.networks import Lease, read_leases, read_networks
from vms import sync as vms_sync
from vms.states import ALIVE

if TYPE_CHECKING:
    from cluster.watch.host import HostWatch

log = logging.getLogger(__name__)
YOUNG_S = 60.0  # so long after its start a VM's address is asked for every YOUNG_EVERY_S
YOUNG_EVERY_S = 2.5
AGENT_S = 6.0
FACTS_S = 40.0  # libvirtd asks every QEMU binary what it can, the first time after its start
AGENTS_EVERY_S = 60.0
MANY = 50
ROUND = 30  # definitions are all read again in this many minutes, in case a change made no event
_random = secrets.SystemRandom()


@dataclass
class Chore:
    name: str
    every_s: float
    function: Callable[[], None]
    next_at: float = 0.0
    running: "Future[None] | None" = None

    @property
    def is_running(self) -> bool:
        return self.running is not None and not self.running.done()


class Chores:
    """Of one host. `run_due` is called by the host's thread, the chores themselves run in the crew."""

    def __init__(self, watch: "HostWatch", store: Store, crew: Crew) -> None:
        self._watch = watch
        self._store = store
        self._crew = crew
        self.side = Side(watch, crew)
        self._pools = PoolReader(watch, store, self.side)
        self._begun = False
        self._pulse = Pulse()
        self._running: set[str] = set()
        self._all: list[str] = []
        self._young: dict[str, float] = {}
        self._active_networks: list[str] = []
        self._told: dict[str, list[tuple[str, str]]] = {}
        self._agents_at = 0.0
        self._addresses = Chore("addresses", 30, self._read_addresses)
        self._networks = Chore("networks", 60, self._read_networks)
        self._pool_chore = Chore("pools", 30, self._pools.read_pools)
        self._volumes = Chore("volumes", 60, self._pools.read_volumes)
        self._chores = [
            Chore("facts", 300, self._read_facts),
            Chore("pulse", 30, self._read_pulse),
            Chore("certificates", 3600, self._read_certificates),
            self._networks,
            self._addresses,
            self._pool_chore,
            self._volumes,
            Chore("definitions", 60, self._read_again),
        ]

    @property
    def load1(self) -> float | None:
        return self._pulse.load1

    # --- when --------------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """After the first sweep of a connection everything is due."""
        if not self._begun:
            self._begun = True
            for chore in self._chores:
                chore.next_at = now
            self._volumes.next_at = now + 1.0  # at the next sweep: the pools come first

    def disconnected(self) -> None:
        self._begun = False
        self.side.disconnected()

    def due_at(self) -> float:
        """When the host's thread must come back before its next sweep: regular chores wait for that."""
        hurried = [chore.next_at for chore in self._chores if chore.next_at == 0.0 and not chore.is_running]
        if self._young:
            hurried.append(self._addresses.next_at)
        return min(hurried, default=float("inf"))

    def run_due(self, now: float) -> None:
        if not self._begun:
            return
        for chore in self._chores:
            if chore.next_at <= now and not chore.is_running:
                every = YOUNG_EVERY_S if chore is self._addresses and self._young else chore.every_s
                chore.next_at = now + every * _random.uniform(0.95, 1.05)
                chore.running = self._crew.start(self._do, chore)

    def _do(self, chore: Chore) -> None:
        try:
            chore.function()
        except VirtError as error:
            if self._watch.stopping.is_set():
                return
            log.info("%s: %s not read: %s %s", self._watch.name, chore.name, error.message, error.technical)
        except Late:
            log.warning("%s: %s: no answer in time", self._watch.name, chore.name)
        except DatabaseError as error:
            log.warning("%s: %s not stored: %s", self._watch.name, chore.name, error)

    def heard(self, notes: Sequence[Note]) -> None:
        kinds = {note.kind for note in notes}
        for kind, chore in (
            (Kind.NETWORK, self._networks),
            (Kind.POOL, self._pool_chore),
            (Kind.VOLUMES, self._volumes),
        ):
            if kind in kinds:
                chore.next_at = 0.0

    def saw(self, states: Iterable[DomainState]) -> None:
        """Which VMs run; those that did not before are young."""
        now = time.monotonic()
        states = list(states)
        for state in states:
            is_alive = state.state in ALIVE and not state.is_in_transit
            if is_alive and state.uuid not in self._running:
                self._running.add(state.uuid)
                self._young[state.uuid] = now + YOUNG_S
                self._addresses.next_at = min(self._addresses.next_at, now + YOUNG_EVERY_S)
            elif not is_alive:
                self._running.discard(state.uuid)
                self._young.pop(state.uuid, None)
                self._told.pop(state.uuid, None)

    def saw_all(self, states: Sequence[DomainState]) -> None:
        """As `saw`, and these are all: what is not among them is gone."""
        self._all = [state.uuid for state in states]
        for uuid in self._running - set(self._all):
            self._running.discard(uuid)
            self._young.pop(uuid, None)
            self._told.pop(uuid, None)
        self.saw(states)

    # --- what --------------------------------------------------------------------------------------------------------

    def _read_facts(self) -> None:
        watch = self._watch
        read_at = timezone.now()
        machine = survey.machine(watch.target) if watch.target.has_ssh else None
        host = self._store.run(Host.objects.filter(pk=watch.host_id).first)
        if host is None:
            return
        domain_type = hosts_sync.domain_type_of(host, machine)
        hypervisor = self.side.ask("facts", FACTS_S, survey.hypervisor, domain_type, with_lists=False)
        if self._store.run(hosts_sync.same_machine, watch.host_id, hypervisor.uuid) is not None:
            watch.reidentify()
            return
        self._store.run(hosts_sync.store_facts, watch.host_id, hypervisor, machine, read_at)

    def _read_certificates(self) -> None:
        if self._watch.target.has_ssh:
            until = moves.look(self._watch.target).valid_until
            self._store.run(hosts_sync.store_certificate, self._watch.host_id, until)

    def _read_pulse(self) -> None:
        if self._watch.target.has_ssh:
            paths = self._pools.paths_to_ask()
            self._pulse = pulse(self._watch.target, paths)
            if self._pools.hear(paths, self._pulse.spaces):
                self._pool_chore.next_at = 0.0
                self._watch.inbox.wake()

    def _read_networks(self) -> None:
        read_at = timezone.now()
        found = self.side.ask("networks", CALL_S, read_networks)
        leases = {one.name: self._leases(one.name) for one in found if one.is_active}
        self._active_networks = [one.name for one in found if one.is_active]
        self._store.run(hosts_sync.store_networks, self._watch.host_id, found, leases, read_at)

    def _leases(self, network: str) -> list[Lease]:
        return self.side.ask("networks", CALL_S, read_leases, network)

    def _read_again(self) -> None:
        count = -(-len(self._all) // ROUND)
        self._watch.read_soon(_random.sample(self._all, min(count, len(self._all))))

    # --- addresses ---------------------------------------------------------------------------------------------------

    def _read_addresses(self) -> None:
        now = time.monotonic()
        self._young = {uuid: until for uuid, until in self._young.items() if until > now}
        if not self._running:
            return
        seen: dict[str, list[str]] = {mac: list(ips) for mac, ips in self._pulse.neighbours.items()}
        for name in self._active_networks:
            for lease in self._leases(name):
                seen.setdefault(lease.mac, []).insert(0, lease.ip)
        for uuid in self._one_by_one():
            for source in (LEASE, ARP):
                for mac, ip in self.side.ask("addresses", CALL_S, read_addresses, uuid, source):
                    seen.setdefault(mac, []).append(ip)
        self._ask_agents()
        known = self._store.run(vms_sync.store_addresses, self._watch.host_id, seen, dict(self._told))
        for uuid in known:
            self._young.pop(uuid, None)

    def _one_by_one(self) -> list[str]:
        """VMs to ask libvirt about: young ones, and all where there is no SSH to read the neighbour table once."""
        if self._watch.target.has_ssh or len(self._running) > MANY:
            return list(self._young)
        return list(self._running)

    def _ask_agents(self) -> None:
        """Ask the guests whose agent is connected. One that hangs costs AGENT_S once, until it has answered."""
        now = time.monotonic()
        if now - self._agents_at < AGENTS_EVERY_S and not self._young:
            return
        self._agents_at = now
        for uuid in self._store.run(vms_sync.with_agents, self._watch.host_id):
            if uuid not in self._running:
                continue
            try:
                answer = self.side.ask(f"agent {uuid}", AGENT_S, read_addresses, uuid, AGENT)
            except Late:
                continue
            if answer:
                self._told[uuid] = answer
