"""Telling open pages that something changed: small messages to groups of the channel layer.

A topic is "<kind>" or "<kind>.<id>": "vms", "vm.<uuid>", "screen.<uuid>", "host.<id>", "pool.<id>", "image.<id>",
"network.<id>", "jobs", "job.<id>", "audit", "offers", "requests", "request.<id>", "notices.<person>". What a page
receives is only "this topic changed" and, for jobs, progress numbers; it then fetches the fragment itself, where the
right to see it is checked again.
"""

import asyncio
import atexit
import logging
import threading
from concurrent.futures import Future, wait
from typing import Any

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_sending: set[Future[None]] = set()
LAST_WORDS_S = 1.0


def group_name(topic: str) -> str:
    return f"live.{topic}"


def _background_loop() -> asyncio.AbstractEventLoop:
    """One event loop a process keeps the layer's Redis connection open between messages of any thread."""
    global _loop
    with _lock:
        if _loop is None or not _loop.is_running():
            _loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_loop.run_forever, name="live", daemon=True)
            thread.start()
            atexit.register(_finish, _loop, thread)
        return _loop


def _finish(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """A command that published sends what it has to, and ends its thread itself: one that is still at work while the
    interpreter goes down may take the process with it."""
    wait(list(_sending), LAST_WORDS_S)

    async def end() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        loop.call_soon(loop.stop)

    if loop.is_running():
        asyncio.run_coroutine_threadsafe(end(), loop)
        thread.join(LAST_WORDS_S)


def publish(*topics: str, **data: Any) -> None:
    """Send `{"topic": ..., **data}` to every page that watches one of the topics. Never blocks, never raises.

    A message lost while Redis is away is no loss of truth: pages fetch again when their socket is back.
    """
    sending = asyncio.run_coroutine_threadsafe(_send(topics, data), _background_loop())
    _sending.add(sending)
    sending.add_done_callback(_sending.discard)


async def _send(topics: tuple[str, ...], data: dict[str, Any]) -> None:
    layer = get_channel_layer()
    for topic in topics:
        try:
            await layer.group_send(group_name(topic), {"type": "live.message", "data": {"topic": topic, **data}})
        except (RedisError, OSError) as error:
            log.warning("live message for %s lost: %s", topic, error)
