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
    target: Target
    lock: threading.Lock = field(default_factory=threading.Lock)
    connection: "libvirt.virConnect | None" = None
    users: int = 0
    used_at: float = 0.0


_kept: dict[str, _Kept] = {}
_kept_lock = threading.Lock()


@contextmanager
def connect(target: Target) -> Iterator["libvirt.virConnect"]:
    """The process's shared connection to a host, opened if need be; libvirtErrors inside become VirtErrors.

    A connection is safe to use from several threads. One that is broken is replaced at the next `connect`.
    """
    gate.check(f"connect {target.uri}")
    kept = _entry(target)
    with kept.lock:
        if kept.connection is None or not kept.connection.isAlive():
            kept.connection = open_connection(target)
        connection = kept.connection
        kept.users += 1
    try:
        with translated():
            yield connection
    finally:
        with kept.lock:
            kept.users -= 1
            kept.used_at = time.monotonic()


def _entry(target: Target) -> _Kept:
    with _kept_lock:
        kept = _kept.get(target.key)
        if kept is None or kept.target != target:
            kept = _kept[target.key] = _Kept(target)
        return kept


def close_idle(older_than_s: float = IDLE_CLOSE_S) -> None:
    """Close connections nobody has used for a while."""
    now = time.monotonic()
    with _kept_lock:
        entries = list(_kept.values())
    for kept in entries:
        with kept.lock:
            if kept.connection is not None and kept.users == 0 and now - kept.used_at >= older_than_s:
                connection, kept.connection = kept.connection, None
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
