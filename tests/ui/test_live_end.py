"""A process that published ends its thread before the interpreter goes down."""

import asyncio
import threading

from ui import live


def test_it_works() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    endless = asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), loop)
    live._finish(loop, thread)
    assert not thread.is_alive()
    assert endless.cancelled()
    live._finish(loop, thread)  # and once more does no harm
