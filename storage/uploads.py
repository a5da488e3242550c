"""Chunks of a browser's file on their way to a worker: a short queue in Redis, never a file on our disk.

The row says how far the file was accepted (from the browser) and stored (on the host). Everything between the two is
in the queue, or lost; the browser asks where to go on and sends it again.
"""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

import redis
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from jobs.errors import Failed
from storage.models import Upload

CHUNK_BYTES = 8 * 1024 * 1024
WINDOW = 4  # chunks that wait for a worker: more are answered with "later"
KEEP_S = 900  # how long a chunk may wait in Redis
OFFSET_BYTES = 8
LOST_AFTER_S = 3.0  # a part that was accepted is in the queue well before this
IDLE_S = 60.0  # how long the worker waits for the browser before it lets go
ABANDONED_AFTER = timedelta(days=1)
REDIS_AWAY_S = 120.0
POLL_S = 1
T = TypeVar("T")


class WrongOffset(Exception):
    """The browser sent another part than the next one; `wanted` is where to go on."""

    def __init__(self, wanted: int) -> None:
        super().__init__(wanted)
        self.wanted = wanted


class BrowserSilent(Failed):
    """Nothing came for long: what is stored stays, and the upload can go on later."""


class QueueFull(Exception):
    """Too much waits for the worker: send this part again a little later."""


def client() -> "redis.Redis":
    return _client(settings.REDIS_URL)


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=10)


def _raw(answer: Any) -> Any:
    """redis-py's types say "perhaps awaitable" of every answer; this client's are not."""
    return answer


def _key(upload_id: UUID | str) -> str:
    return f"drover:upload:{upload_id}"


def accept(upload: Upload, offset: int, data: bytes) -> int:
    """Take one part of the file; returns how far it is accepted now. Raises WrongOffset, QueueFull, RedisError.

    Raises Upload.DoesNotExist if the upload was ended meanwhile: a first part told that it is no image.
    """
    if offset != upload.accepted_bytes:
        raise WrongOffset(upload.accepted_bytes)
    if not data or offset + len(data) > upload.size_bytes:
        raise WrongOffset(upload.accepted_bytes)
    queue, key = client(), _key(upload.pk)
    if _raw(queue.llen(key)) >= WINDOW:
        raise QueueFull
    end = offset + len(data)
    mine = Upload.objects.filter(pk=upload.pk, accepted_bytes=offset)
    if not mine.update(accepted_bytes=end, touched_at=timezone.now()):
        raise WrongOffset(Upload.objects.values_list("accepted_bytes", flat=True).get(pk=upload.pk))
    try:
        pipe = queue.pipeline()
        pipe.rpush(key, offset.to_bytes(OFFSET_BYTES, "big") + data)
        pipe.expire(key, KEEP_S)
        pipe.execute()
    except RedisError:
        Upload.objects.filter(pk=upload.pk, accepted_bytes=end).update(accepted_bytes=offset)
        raise
    return end


def is_full(upload_id: UUID) -> bool:
    """Whether a part sent now would have to be sent again later."""
    try:
        return bool(_raw(client().llen(_key(upload_id))) >= WINDOW)
    except RedisError:
        return True


def rewind(upload_id: UUID, offset: int) -> None:
    """Forget what waits and let the browser go on from this offset."""
    client().delete(_key(upload_id))
    Upload.objects.filter(pk=upload_id).update(accepted_bytes=offset)


def forget(upload_id: UUID | str) -> None:
    """Drop what waits of an upload that has ended."""
    client().delete(_key(upload_id))


class QueueSource:
    """The worker's end: parts in order from an offset on (storage.transfer.Source)."""

    def __init__(self, upload_id: UUID) -> None:
        self.upload_id = upload_id

    def pieces(self, offset: int) -> Iterator[bytes]:
        """Raises Failed when the browser or Redis stays silent for too long."""
        wanted, heard_at = offset, time.monotonic()
        while True:
            item = self._take()
            silent_s = time.monotonic() - heard_at
            if item is None:
                if silent_s > IDLE_S:
                    message = _("The browser stopped sending. Open the image's page to go on where it stopped.")
                    raise BrowserSilent(message)
                if silent_s > LOST_AFTER_S and not self._expects(wanted):
                    self._rewind(wanted)
                yield b""
                continue
            at, data = int.from_bytes(item[:OFFSET_BYTES], "big"), item[OFFSET_BYTES:]
            if at != wanted:  # a part was lost with Redis or a worker: ask the browser for it again
                self._rewind(wanted)
                continue
            wanted += len(data)
            yield data
            heard_at = time.monotonic()

    def _expects(self, offset: int) -> bool:
        """Whether the browser sends this part next. If not, it was accepted and is lost."""
        return Upload.objects.filter(pk=self.upload_id, accepted_bytes=offset).exists()

    def _rewind(self, offset: int) -> None:
        self._insist(lambda: rewind(self.upload_id, offset))

    def _take(self) -> bytes | None:
        found = self._insist(lambda: _raw(client().blpop([_key(self.upload_id)], timeout=POLL_S)))
        return found[1] if found else None

    def _insist(self, call: Callable[[], T]) -> T:
        until = time.monotonic() + REDIS_AWAY_S
        while True:
            try:
                return call()
            except RedisError as error:
                if time.monotonic() > until:
                    raise Failed(_("Redis is away, through which the parts come."), str(error)) from error
                time.sleep(POLL_S)
