"""libvirt connections: opened once a process and host, kept alive, reopened when lost."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import libvirt
from django.utils.translation import gettext as _

from virt import gate, ssh
from virt.errors import HostUnreachable, translate, translated
from virt.target import Target

KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 3
IDLE_CLOSE_S = 120.0
OPEN_WITHIN_S = 40.0  # a slow login, and a libvirtd that starts for us and looks at every QEMU first
T = TypeVar("T")

libvirt.registerErrorHandler(lambda _context, _error: None, None)  # errors are raised, not printed
_loop_lock = threading.Lock()
_loop_thread: threading.Thread | None = None


def start_event_loop() -> None:
    """Run libvirt's default event loop in a thread. Needed before the first connection: keep-alive lives on it."""
    global _loop_thread
    with _loop_lock:
        if _loop_thread is None:
            libvirt.virEventRegisterDefaultImpl()
            _loop_thread = threading.Thread(target=_run_loop, name="libvirt-events", daemon=True)
            _loop_thread.start()


def _run_loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def open_connection(
    target: Target, *, keepalive: tuple[int, int] = (KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
) -> "libvirt.virConnect":
    """A new connection with keep-alive. Raises HostUnreachable and its kinds. Blocks at most OPEN_WITHIN_S.

    keepalive: seconds between questions, and how many may stay unanswered; it is closed after about their product.
    """
    gate.check(f"open {target.uri}")
    start_event_loop()
    ssh.ready(target)
    connection = _Opening(target).wait()
    if target.transport not in {"local", "test"}:
        with translated():
            connection.setKeepAlive(*keepalive)
    return connection


class _Opening:
    """One call of libvirt.open, in a thread of its own: it has no time-out, and a libvirtd that hangs (SIGSTOP, a dead
    disk) never answers it. A late one is left alone and closes itself when it gets through; until then the host counts
    as silent, so that at most those that began together wait for it.
    """

    _late: ClassVar[set[str]] = set()

    def __init__(self, target: Target) -> None:
        self.target = target
        self.connection: libvirt.virConnect | None = None
        self.error: libvirt.libvirtError | None = None
        self.is_abandoned = False
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._open, name=f"open {target.key}", daemon=True)

    def wait(self) -> "libvirt.virConnect":
        if self.target.key in self._late:
            raise self._hangs()
        self.thread.start()
        self.thread.join(OPEN_WITHIN_S)
        with self.lock:
            if self.error is not None:
                problem = translate(self.error)
                if isinstance(problem, HostUnreachable):
                    raise problem from self.error
                raise HostUnreachable(problem.message, problem.technical, problem.code) from self.error
            if self.connection is None:
                self.is_abandoned = True
                self._late.add(self.target.key)
                raise self._hangs()
            return self.connection

    def _hangs(self) -> HostUnreachable:
        return HostUnreachable(_("libvirt on the host hangs: it takes the call and does not answer."), self.target.uri)

    def _open(self) -> None:
        connection, error = None, None
        try:
            connection = libvirt.open(self.target.uri)
        except libvirt.libvirtError as refused:
            error = refused
        with self.lock:
            self.connection, self.error = connection, error
            if self.is_abandoned:
                self._late.discard(self.target.key)
                if connection is not None:
                    close_quietly(connection)


@dataclass
class _Kept:
    """A host's connections that nobody uses just now, with when they were given back; the latest last."""

    target: Target
    idle: list[tuple["libvirt.virConnect", float]] = field(default_factory=list)


_kept: dict[str, _Kept] = {}
_kept_lock = threading.Lock()


@contextmanager
def connect(target: Target) -> Iterator["libvirt.virConnect"]:
    """A connection to a host for this block alone, kept for the next one; libvirtErrors inside become VirtErrors.

    Alone, because libvirt's client may leave a second thread's call waiting for seconds (until the next keep-alive)
    while a first one's long call is under way: seen with 9.0, a migration and its statistics.
    """
    gate.check(f"connect {target.uri}")
    connection = _take(target) or open_connection(target)
    try:
        with translated():
            yield connection
    finally:
        _give_back(target, connection)


def _take(target: Target) -> "libvirt.virConnect | None":
    while True:
        with _kept_lock:
            kept = _kept.get(target.key)
            if kept is None or kept.target != target or not kept.idle:
                return None
            connection, _since = kept.idle.pop()
        if _is_alive(connection):
            return connection
        close_quietly(connection)


def _give_back(target: Target, connection: "libvirt.virConnect") -> None:
    if not _is_alive(connection):
        close_quietly(connection)
        return
    with _kept_lock:
        kept = _kept.get(target.key)
        stale = kept.idle if kept is not None and kept.target != target else []
        if kept is None or kept.target != target:
            kept = _kept[target.key] = _Kept(target)
        kept.idle.append((connection, time.monotonic()))
    for old, _since in stale:
        close_quietly(old)


def _is_alive(connection: "libvirt.virConnect") -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:  # closed by its own keep-alive
        return False


def close_idle(older_than_s: float = IDLE_CLOSE_S) -> None:
    """Close connections nobody has used for a while."""
    limit = time.monotonic() - older_than_s
    with _kept_lock:
        old = [pair for kept in _kept.values() for pair in kept.idle if pair[1] <= limit]
        for kept in _kept.values():
            kept.idle = [pair for pair in kept.idle if pair[1] > limit]
    for connection, _since in old:
        close_quietly(connection)


def close_quietly(connection: "libvirt.virConnect") -> None:
    try:
        connection.close()
    except libvirt.libvirtError:  # it was lost already: closed is what we wanted
        return


def retry_once(call: Callable[[], T]) -> T:
    """Run a reading call; if the connection was lost (libvirtd restarted), run it once more on a new one."""
    try:
        return call()
    except HostUnreachable:
        return call()
