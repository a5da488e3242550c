"""Telling open pages that something changed: small messages to groups of the channel layer.

A topic is "<kind>" or "<kind>.<id>": "vms", "vm.<uuid>", "screen.<uuid>", "host.<id>", "pool.<id>", "image.<id>",
"network.<id>", "jobs", "job.<id>", "audit". What a page receives is only "this topic changed" and, for jobs, progress
numbers; it then fetches the fragment itself, where the right to see it is checked again.
"""

import asyncio
import logging
import threading
from typing import Any

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def group_name(topic: str) -> str:
    return f"live.{topic}"


def _background_loop() -> asyncio.AbstractEventLoop:
    """One event loop a process keeps the layer's Redis connection open between messages of any thread."""
    global _loop
    with _lock:
        if _loop is None or not _loop.is_running():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="live", daemon=True).start()
        return _loop


def publish(*topics: str, **data: Any) -> None:
    """Send `{"topic": ..., **data}` to every page that watches one of the topics. Never blocks, never raises.

    A message lost while Redis is away is no loss of truth: pages fetch again when their socket is back.
    """
    asyncio.run_coroutine_threadsafe(_send(topics, data), _background_loop())


async def _send(topics: tuple[str, ...], data: dict[str, Any]) -> None:
    layer = get_channel_layer()
    for topic in topics:
        try:
            await layer.group_send(group_name(topic), {"type": "live.message", "data": {"topic": topic, **data}})
        except (RedisError, OSError) as error:
            log.warning("live message for %s lost: %s", topic, error)
