"""libvirt connections: opened once a process and host, kept alive, reopened when lost."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import libvirt

from virt import gate, ssh
from virt.errors import HostUnreachable, translate, translated
from virt.target import Target

KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 3
IDLE_CLOSE_S = 120.0
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
    """A new connection with keep-alive. Raises HostUnreachable and its kinds. Blocks for as long as ssh's time-out.

    keepalive: seconds between questions, and how many may stay unanswered; it is closed after about their product.
    """
    gate.check(f"open {target.uri}")
    start_event_loop()
    ssh.ready(target)
    try:
        connection = libvirt.open(target.uri)
    except libvirt.libvirtError as error:
        problem = translate(error)
        if isinstance(problem, HostUnreachable):
            raise problem from error
        raise HostUnreachable(problem.message, problem.technical, problem.code) from error
    if target.transport not in {"local", "test"}:
        with translated():
            connection.setKeepAlive(*keepalive)
    return connection


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
