"""Open sockets whose person logged out, was deactivated or has another role now are closed within seconds.

It asks the database and needs no message: whatever changed a row, and wherever, it is seen.
"""

import asyncio
import logging
from typing import Protocol

from channels.db import database_sync_to_async
from django.db import DatabaseError
from redis.exceptions import RedisError

from access.models import User
from access.sessions import people_of

log = logging.getLogger(__name__)
EVERY_S = 3.0


class Guest(Protocol):
    """A socket that was let in."""

    session_key: str

    async def look_again(self, person: User | None) -> None:
        """Stay, or leave: this is who stands behind the session now."""


class Doorkeeper:
    """Goes round the open sockets of this process, as long as there are any: two queries for all of them."""

    def __init__(self) -> None:
        self.inside: set[Guest] = set()
        self._rounds: asyncio.Task[None] | None = None

    def let_in(self, guest: Guest) -> None:
        self.inside.add(guest)
        loop = asyncio.get_running_loop()
        if self._rounds is None or self._rounds.done() or self._rounds.get_loop() is not loop:
            self._rounds = loop.create_task(self._go_round())

    def let_out(self, guest: Guest) -> None:
        self.inside.discard(guest)

    async def _go_round(self) -> None:
        while self.inside:
            await asyncio.sleep(EVERY_S)
            try:
                people = await database_sync_to_async(people_of)({guest.session_key for guest in self.inside})
            except DatabaseError as error:
                log.warning("open sockets are not looked at: %s", error)
                continue
            for guest in list(self.inside):
                try:
                    await guest.look_again(people.get(guest.session_key))
                except (DatabaseError, RedisError, OSError) as error:
                    log.warning("an open socket is not looked at: %s", error)


doorkeeper = Doorkeeper()
