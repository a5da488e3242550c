"""Pictures of screens that somebody looks at: who wants one, and the last one taken. Only in Redis, for a minute.

A page that shows a VM's screen hears the topic "screen.<uuid>" on the live socket, which says `look` while it is open.
`watch` takes a picture of what is `looked_at` every few seconds, keeps it here and publishes the topic.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings

log = logging.getLogger(__name__)
LOOK_S = 20  # a look is over this long after it was last said
KEEP_S = 60
LOOKED_AT = "drover:screens"


@dataclass(frozen=True)
class Picture:
    """When it was taken, and the PNG unless only the time was asked for."""

    taken_at: datetime
    png: bytes = b""

    @property
    def stamp(self) -> int:
        """In an address: another picture, another address."""
        return int(self.taken_at.timestamp() * 1000)


def topic(uuid: object) -> str:
    return f"screen.{uuid}"


def look(uuid: str) -> None:
    """Somebody looks at this VM's screen now."""
    now = time.time()
    try:
        with _client(settings.REDIS_URL).pipeline() as together:
            together.zremrangebyscore(LOOKED_AT, "-inf", now)
            together.zadd(LOOKED_AT, {uuid: now + LOOK_S})
            together.execute()
    except redis.RedisError as error:
        log.warning("no picture of %s is asked for: %s", uuid, error)


def looked_at() -> list[str]:
    """UUIDs of the VMs whose screens somebody looks at. Raises RedisError."""
    client = _client(settings.REDIS_URL)
    uuids: Any = client.zrange(LOOKED_AT, time.time(), "inf", byscore=True)
    return [uuid.decode() for uuid in uuids]


def keep(uuid: str, png: bytes) -> None:
    """The picture of now. Raises RedisError."""
    with _client(settings.REDIS_URL).pipeline() as together:
        together.hset(_key(uuid), mapping={"at": repr(time.time()), "png": png})
        together.expire(_key(uuid), KEEP_S)
        together.execute()


def last(uuid: object, *, with_png: bool = False) -> Picture | None:
    """The last picture of the last minute."""
    found: Any  # redis-py's types say what any command may answer
    try:
        found = _client(settings.REDIS_URL).hmget(_key(uuid), ["at", "png"] if with_png else ["at"])
    except redis.RedisError as error:
        log.warning("the picture of %s is not read: %s", uuid, error)
        return None
    at, *png = found
    return None if at is None else Picture(datetime.fromtimestamp(float(at), UTC), *png)


def stamps(uuids: Iterable[object]) -> dict[str, Picture]:
    """When the last pictures of these were taken, at one go."""
    keys = [str(uuid) for uuid in uuids]
    try:
        with _client(settings.REDIS_URL).pipeline(transaction=False) as together:
            for key in keys:
                together.hget(_key(key), "at")
            found = together.execute() if keys else []
    except redis.RedisError as error:
        log.warning("pictures are not read: %s", error)
        return {}
    pairs = zip(keys, found, strict=True)
    return {key: Picture(datetime.fromtimestamp(float(at), UTC)) for key, at in pairs if at is not None}


def _key(uuid: object) -> str:
    return f"drover:screen:{uuid}"


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    # kept: `watch` asks each second; with time-outs: a Redis that hangs must not hold a page
    return redis.Redis.from_url(url, socket_connect_timeout=0.5, socket_timeout=1)
