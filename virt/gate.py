"""Where hosts may not be touched: inside a request every door (connect, SSH) refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_closed_by: ContextVar[str | None] = ContextVar("virt_gate_closed_by", default=None)


class GateClosed(RuntimeError):
    """A programming error: something that must be answered from the database tried to reach a host."""


@contextmanager
def closed(where: str) -> Iterator[None]:
    """While this is open, `check` raises; follows the thread's context into sync_to_async."""
    token = _closed_by.set(where)
    try:
        yield
    finally:
        _closed_by.reset(token)


def check(what: str) -> None:
    """Raise GateClosed if hosts may not be touched here. Called by every door with what it is about to do."""
    where = _closed_by.get()
    if where is not None:
        raise GateClosed(f"{where} must not touch a host: {what}")
