"""Bytes from somewhere into a volume of a host, going on after interruptions. In the worker; blocks."""

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from django.utils.translation import gettext as _

from hosts.models import Host
from jobs.errors import Failed
from jobs.run import Run
from storage.models import Pool
from virt.connection import connect
from virt.errors import HostUnreachable
from virt.streams import VolumeWriter

FLUSH_BYTES = 64 * 1024 * 1024  # what is lost at most, and sent again, if the host or the worker dies
FLUSH_S = 5.0
LOST_FOR_S = 180.0  # how long a host may be away before the transfer fails
RETRY_S = 2.0


class Source(Protocol):
    """Where the bytes come from."""

    def pieces(self, offset: int) -> Iterator[bytes]:
        """The bytes from an offset on; b"" now and then while nothing comes."""


class Digest:
    """SHA-256 of what passes in order. Unknown (None) if it did not see all from the first byte on."""

    def __init__(self, start: int) -> None:
        self._hash = hashlib.sha256() if start == 0 else None
        self._seen = start

    def update(self, offset: int, data: bytes) -> None:
        """Bytes that were seen before (sent again after an interruption) do not count twice."""
        fresh = data[max(0, self._seen - offset) :]
        if self._hash is not None:
            self._hash.update(fresh)
        self._seen = max(self._seen, offset + len(data))

    @property
    def hex(self) -> str | None:
        return self._hash.hexdigest() if self._hash is not None else None


class Pace:
    """Progress of a transfer: percent, bytes, and the speed of the last seconds."""

    def __init__(self, run: Run, total: int | None, step: str) -> None:
        self.run, self.total, self.step = run, total, step
        self._marks: list[tuple[float, int]] = []

    def tell(self, done: int, *, every_s: float = 0.5) -> None:
        now = time.monotonic()
        if self._marks and now - self._marks[-1][0] < every_s and done != self.total:
            return
        self._marks = [*self._marks[-11:], (now, done)]
        since, before = self._marks[0]
        rate = (done - before) / (now - since) if now > since else 0.0
        detail: dict[str, Any] = {"done_bytes": done, "total_bytes": self.total, "bytes_per_s": round(rate)}
        if rate > 0 and self.total:
            detail["seconds_left"] = round((self.total - done) / rate)
        self.run.progress(100.0 * done / self.total if self.total else None, self.step, **detail)


class Filling:
    """One volume being filled from a source."""

    def __init__(
        self,
        run: Run,
        pool: Pool,
        host: Host,
        name: str,
        source: Source,
        *,
        size: int | None,
        start: int = 0,
        stored: Callable[[int], None] = lambda _offset: None,
        first_bytes: Callable[[bytes], None] = lambda _head: None,
    ) -> None:
        self.run, self.pool, self.host, self.name, self.source = run, pool, host, name, source
        self.size, self.position, self.stored, self.first_bytes = size, start, stored, first_bytes
        self.digest = Digest(start)
        self.pace = Pace(run, size, _("Receiving"))

    def fill(self) -> int:
        """Until all is stored; returns how many bytes that is. A host that goes away for a while is waited for.

        Raises Cancelled between two pieces, NoSpace, HostUnreachable when the host stays away, what the source raises.
        """
        lost_at = 0.0
        while True:
            before = self.position
            try:
                self._fill()
                return self.position
            except HostUnreachable as lost:
                now = time.monotonic()
                lost_at = now if self.position > before or not lost_at else lost_at
                if now - lost_at > LOST_FOR_S:
                    raise
                self.run.warn(_("The host is away (%(why)s); waiting for it.") % {"why": lost.message})
                self.run.cancel_asked.wait(RETRY_S)
                self.run.check_cancel()

    def _fill(self) -> None:
        """Write until the end or an error; `position` is what the host has acknowledged."""
        writer: VolumeWriter | None = None
        opened_at = 0.0
        with connect(self.host.target) as conn:
            try:
                for data in self.source.pieces(self.position):
                    self.run.check_cancel()
                    if data:
                        if writer is None:
                            writer = VolumeWriter(conn, self.pool.name, self.name, offset=self.position)
                            opened_at = time.monotonic()
                        self._write(writer, data)
                    if writer and (not data or self._is_due(writer, opened_at)):
                        self._acknowledge(writer)
                        writer = None
                    if self.size is not None and self.position >= self.size:
                        return
                if writer:
                    self._acknowledge(writer)
                    writer = None
            finally:
                if writer:
                    writer.abort()
        if self.size is not None and self.position < self.size:
            raise Failed(_("The file ended too early: %(n)d bytes are missing.") % {"n": self.size - self.position})

    def _write(self, writer: VolumeWriter, data: bytes) -> None:
        if writer.offset == 0:
            self.first_bytes(data)
        self.digest.update(writer.offset, data)
        writer.write(data)
        self.pace.tell(writer.offset)

    def _is_due(self, writer: VolumeWriter, opened_at: float) -> bool:
        waiting = writer.offset - self.position
        late = time.monotonic() - opened_at > FLUSH_S
        return waiting >= FLUSH_BYTES or late or (self.size is not None and writer.offset >= self.size)

    def _acknowledge(self, writer: VolumeWriter) -> None:
        self.position = writer.close()
        self.stored(self.position)
        self.pace.tell(self.position)
