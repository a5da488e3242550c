"""Takes pictures of the screens that somebody looks at, and of no other."""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

from django.db import DatabaseError
from redis.exceptions import RedisError

from cluster.watch.crew import Crew, Late
from cluster.watch.store import Store
from ui.live import publish
from virt.errors import VirtError
from virt.screens import picture_of
from vms import screens
from vms.models import Vm
from vms.states import ALIVE

if TYPE_CHECKING:
    from cluster.watch.host import HostWatch

log = logging.getLogger(__name__)
EVERY_S = 4.0
CALL_S = 8.0


class Screens:
    """Of the hosts of this process. `tick` comes back at once: what may hang runs in the crew."""

    def __init__(self, store: Store, crew: Crew) -> None:
        self._store = store
        self._crew = crew
        self._asking: Future[None] | None = None
        self._taken_at: dict[str, float] = {}

    def tick(self, watches: Mapping[int, "HostWatch"]) -> None:
        if self._asking is None or self._asking.done():
            self._asking = self._crew.start(self._begin, dict(watches))

    def _begin(self, watches: Mapping[int, "HostWatch"]) -> None:
        """Begin a picture of each screen that is looked at, if its VM is on a host of ours and the last one is old."""
        try:
            wanted = screens.looked_at()
            places = self._store.run(self._places, wanted) if wanted else {}
        except (RedisError, DatabaseError) as error:
            log.warning("which screens are looked at is not known: %s", error)
            return
        now = time.monotonic()
        self._taken_at = {uuid: at for uuid, at in self._taken_at.items() if now - at < EVERY_S}
        for uuid, host_id in places.items():
            watch = watches.get(host_id)
            if watch is not None and watch.is_connected and uuid not in self._taken_at:
                self._taken_at[uuid] = now
                self._crew.start(self._take, watch, uuid)

    def _places(self, uuids: list[str]) -> dict[str, int]:
        running = Vm.objects.filter(uuid__in=uuids, observed_state__in=ALIVE, host__isnull=False)
        return {str(uuid): host_id for uuid, host_id in running.values_list("uuid", "host_id")}

    def _take(self, watch: "HostWatch", uuid: str) -> None:
        try:
            screens.keep(uuid, watch.chores.side.ask(f"screen {uuid}", CALL_S, picture_of, uuid))
        except Late:
            log.info("%s: the screen of %s: no answer in time", watch.name, uuid)
        except (VirtError, RedisError) as error:
            log.info("%s: no picture of %s: %s", watch.name, uuid, error)
        else:
            publish(screens.topic(uuid))
