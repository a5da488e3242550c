"""What a host says by itself: libvirt's events, put into a box. Nothing is handled in a callback.

Callbacks run in libvirt's event loop thread, which serves every host of the process, so all they do is to note who
changed. Sources: virDomainEventID, virDomainEventType, virStoragePoolEventID, virNetworkEventID.
"""

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple

import libvirt

from virt.errors import translated


class Kind(Enum):
    STATE = "state"  # of a domain, by UUID: only its state may be another
    DOMAIN = "domain"  # by UUID: state, definition or presence may be others
    POOL = "pool"  # by name: defined, started, stopped, undefined
    VOLUMES = "volumes"  # by name of the pool: what lies in it was read again
    NETWORK = "network"  # by name
    CLOSED = "closed"  # the connection is gone, by the token of its subscription


class Note(NamedTuple):
    kind: Kind
    key: str


class Inbox:
    """Notes of one host, each kept once however often it happened. One thread takes, any thread puts."""

    def __init__(self) -> None:
        self._notes: dict[Note, None] = {}
        self._changed = threading.Condition()
        self._woken = False

    def put(self, note: Note) -> None:
        with self._changed:
            self._notes[note] = None
            self._changed.notify()

    def wake(self) -> None:
        """Make `take` return at once, with whatever there is."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take(self, timeout_s: float) -> list[Note]:
        """All notes, oldest first; waits for the first one up to timeout_s."""
        with self._changed:
            if not self._notes and not self._woken:
                self._changed.wait(max(0.0, timeout_s))
            notes, self._notes, self._woken = list(self._notes), {}, False
            return notes


_tokens = itertools.count(1)
_STATE_ONLY = {
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED,
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN,
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED,
}
_DOMAIN_EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_ID_REBOOT,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
    libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE,
)


class Subscription:
    """Everything a connection was asked to tell. `cancel` it before closing: callbacks hold the connection open."""

    def __init__(self, conn: "libvirt.virConnect", inbox: Inbox) -> None:
        self._conn = conn
        self._inbox = inbox
        self._undo: list[Callable[[], object]] = []
        self.token = str(next(_tokens))

    def start(self) -> None:
        """Subscribe. What a driver or an old libvirt has no events for is left out. Raises VirtError if it is lost."""
        conn = self._conn
        with translated():
            conn.registerCloseCallback(self._closed, None)
        self._undo.append(conn.unregisterCloseCallback)
        domain, pool, network = (
            (conn.domainEventRegisterAny, conn.domainEventDeregisterAny),
            (conn.storagePoolEventRegisterAny, conn.storagePoolEventDeregisterAny),
            (conn.networkEventRegisterAny, conn.networkEventDeregisterAny),
        )
        self._add(domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle)
        for event_id in _DOMAIN_EVENTS:
            self._add(domain, event_id, self._domain)
        self._add(pool, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE, self._pool)
        self._add(pool, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH, self._volumes)
        self._add(network, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE, self._network)

    def _add(self, doors: tuple[Any, Any], event_id: int, callback: Callable[..., None]) -> None:
        register, deregister = doors
        try:
            number = register(None, event_id, callback, None)
        except libvirt.libvirtError:
            if not self._conn.isAlive():
                raise
            return
        self._undo.append(lambda: deregister(number))

    def cancel(self) -> None:
        for undo in reversed(self._undo):
            with suppress(libvirt.libvirtError):  # the connection was lost: libvirt still forgets the callback
                undo()
        self._undo.clear()

    def _lifecycle(self, _conn: Any, domain: Any, event: int, _detail: int, *_rest: Any) -> None:
        kind = Kind.STATE if event in _STATE_ONLY else Kind.DOMAIN
        self._inbox.put(Note(kind, domain.UUIDString()))

    def _domain(self, _conn: Any, domain: Any, *_rest: Any) -> None:
        self._inbox.put(Note(Kind.DOMAIN, domain.UUIDString()))

    def _pool(self, _conn: Any, pool: Any, *_rest: Any) -> None:
        self._inbox.put(Note(Kind.POOL, pool.name()))

    def _volumes(self, _conn: Any, pool: Any, *_rest: Any) -> None:
        self._inbox.put(Note(Kind.VOLUMES, pool.name()))

    def _network(self, _conn: Any, network: Any, *_rest: Any) -> None:
        self._inbox.put(Note(Kind.NETWORK, network.name()))

    def _closed(self, _conn: Any, _reason: int, *_rest: Any) -> None:
        self._inbox.put(Note(Kind.CLOSED, self.token))


def subscribe(conn: "libvirt.virConnect", inbox: Inbox) -> Subscription:
    """Put every event of the connection into the inbox until the subscription is cancelled."""
    subscription = Subscription(conn, inbox)
    with translated():
        subscription.start()
    return subscription
