"""Shares out the hosts, keeps a thread for each of ours, and says which of them have fallen silent."""

import logging
import threading
import time

from django.db import DatabaseError
from django.utils.translation import gettext as _

from cluster.watch.crew import Crew
from cluster.watch.host import HostWatch
from cluster.watch.leases import Leases, age_of
from cluster.watch.screens import Screens
from cluster.watch.store import Store
from hosts.models import Host
from virt.errors import HostUnreachable
from virt.events import Kind, Note

log = logging.getLogger(__name__)
TICK_S = 1.0
COMPARE_EVERY_S = 5.0  # is the address or key of one of our hosts another one now?
GIVEN_UP_MOST = 2  # threads of one host left behind in a call that hangs
GRACE_S = 8.0  # a host that has not been seen for longer than this gets the rest of the time to answer


class Supervisor:
    """`run` until `stop`."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.stopping = threading.Event()
        self._store = Store()
        self._crew = Crew()
        self._screens = Screens(self._store, self._crew)
        self._watches: dict[int, HostWatch] = {}
        self._given_up: dict[int, list[HostWatch]] = {}
        self._compare_at = 0.0

    def stop(self) -> None:
        self.stopping.set()

    def run(self) -> None:
        log.info("watch %s begins", self.leases.name)
        while not self.stopping.is_set():
            try:
                self.tick()
            except DatabaseError as error:
                log.warning("the database does not answer: %s", error)
            self.stopping.wait(TICK_S)
        self._end()

    def tick(self) -> None:
        """Once a second."""
        for watch in list(self._watches.values()):
            self._look_at(watch)
        mine = self._store.run_now(self.leases.tick)
        for host_id in set(self._watches) - mine:
            self._drop(host_id)
        now = time.monotonic()
        if mine - set(self._watches) or now >= self._compare_at:
            self._compare_at = now + COMPARE_EVERY_S
            self._start(self._store.run_now(self._hosts, mine))
        self._screens.tick(self._watches)

    def _hosts(self, ids: set[int]) -> list[Host]:
        columns = ("name", "transport", "address", "port", "username", "path", "host_keys", "uuid", "seen_at")
        return list(Host.objects.filter(pk__in=ids).only(*columns, "memory_bytes"))

    def _start(self, hosts: list[Host]) -> None:
        for host in hosts:
            watch = self._watches.get(host.pk)
            if watch is not None and watch.target == host.target and watch.is_alive:
                continue
            if watch is not None:  # its address or key is another one now
                self._drop(host.pk)
            self._begin(host)

    def _begin(self, host: Host) -> None:
        watch = HostWatch(host, self._store, self._crew, self._nudge)
        watch.answered_at = time.monotonic() - min(age_of(host.seen_at) if host.seen_at else 0.0, GRACE_S)
        self._watches[host.pk] = watch
        watch.start()

    def _drop(self, host_id: int) -> None:
        self._watches.pop(host_id).stop()

    def _nudge(self, host_id: int, uuid: str) -> None:
        """A VM is found to be on another host now: its watch, if it is ours, reads it at once."""
        watch = self._watches.get(host_id)
        if watch is not None:
            watch.inbox.put(Note(Kind.DOMAIN, uuid))

    # --- hosts that do not answer ------------------------------------------------------------------------------------

    def _look_at(self, watch: HostWatch) -> None:
        if watch.is_silent and not watch.is_marked:
            log.warning("%s: no answer", watch.name)
            watch.mark(HostUnreachable(_("The host does not answer.")))
        left = [one for one in self._given_up.get(watch.host_id, []) if one.is_alive]
        self._given_up[watch.host_id] = left
        if watch.is_stuck and len(left) < GIVEN_UP_MOST:
            self._replace(watch)

    def _replace(self, watch: HostWatch) -> None:
        """Leave the thread in the call that hangs, and begin again with a new connection."""
        log.warning("%s: a call hangs, beginning again", watch.name)
        watch.stop()
        self._given_up.setdefault(watch.host_id, []).append(watch)
        found = self._store.run_now(self._hosts, {watch.host_id})
        self._watches.pop(watch.host_id, None)
        for host in found:
            fresh = HostWatch(host, self._store, self._crew, self._nudge)
            fresh.answered_at, fresh.is_marked = watch.answered_at, watch.is_marked
            self._watches[host.pk] = fresh
            fresh.start()

    def _end(self) -> None:
        """Give the hosts back at once, so that another process goes on with them."""
        for watch in self._watches.values():
            watch.stop()
        try:
            self._store.run_now(self.leases.release)
        except DatabaseError as error:
            log.warning("the hosts are not given back, they will be free in some seconds: %s", error)
        until = time.monotonic() + 2
        for watch in self._watches.values():
            watch.join(max(0.0, until - time.monotonic()))
        self._store.close()
        log.info("watch %s ends", self.leases.name)
