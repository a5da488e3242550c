"""Pools and volumes of a host: a storage that hangs greys out its own cell.

libvirt is never told to refresh a pool here: it stops a pool (and unmounts it) whose storage fails just then. What lies
in a folder is asked by SSH instead, what a volume is from any libvirt that knows it.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from cluster.watch.crew import Late
from cluster.watch.side import CALL_S, Side
from cluster.watch.store import Store
from storage import sync as storage_sync
from storage.sync import FOLDER_KINDS, PoolsSeen, Shelf
from virt.errors import VirtError
from virt.hostinfo import Space, files_in
from virt.inventory.storage import pool_names, read_pool, read_volumes, volume_names
from virt.pools import PoolFacts, definition

if TYPE_CHECKING:
    from cluster.watch.host import HostWatch

log = logging.getLogger(__name__)
READ_AGAIN = timedelta(minutes=10)
VOLUMES_AT_ONCE = 50
ASK_AGAIN_S = (30.0, 60.0, 120.0, 300.0)  # a path that hung: each question may leave a process on the host


class PoolReader:
    """Of one host. `read_pools` and `read_volumes` are chores; `paths_to_ask` and `hear` belong to the pulse."""

    def __init__(self, watch: "HostWatch", store: Store, side: Side) -> None:
        self._watch = watch
        self._store = store
        self._side = side
        self._paths: dict[str, str] = {}  # active pools that are folders
        self._spaces: dict[str, Space | None] = {}  # by path
        self._silent: dict[str, tuple[int, float]] = {}  # path -> how often it was silent, when to ask again

    # --- by SSH ------------------------------------------------------------------------------------------------------

    def paths_to_ask(self) -> list[str]:
        now = time.monotonic()
        paths = dict.fromkeys(self._paths.values())
        return [path for path in paths if path not in self._silent or self._silent[path][1] <= now]

    def hear(self, asked: Sequence[str], spaces: Mapping[str, Space | None]) -> bool:
        """What the file systems said. One that did not is asked again later, each time less soon.

        Returns whether one fell silent, spoke again, or said something for the first time.
        """
        before = (set(self._silent), set(self._spaces))
        for path in asked:
            if path in spaces:
                self._spaces[path] = spaces[path]
                self._silent.pop(path, None)
            else:
                times = self._silent.get(path, (0, 0.0))[0]
                wait = ASK_AGAIN_S[min(times, len(ASK_AGAIN_S) - 1)]
                self._silent[path] = (times + 1, time.monotonic() + wait)
                log.warning("%s: %s does not answer", self._watch.name, path)
        return before != (set(self._silent), set(self._spaces))

    def _is_silent(self, name: str) -> bool:
        return self._paths.get(name, "") in self._silent

    # --- by libvirt --------------------------------------------------------------------------------------------------

    def read_pools(self) -> None:
        """All cells of the host. What hangs is said to be silent, the others are read."""
        seen = PoolsSeen(timezone.now())
        try:
            seen.names = self._side.ask("pools", CALL_S, pool_names)
        except Late:
            log.warning("%s: the list of pools hangs", self._watch.name)
        names = seen.names if seen.names is not None else self._store.run(storage_sync.known_pools, self._watch.host_id)
        for name in names:
            if self._is_silent(name):
                seen.silent.add(name)
                continue
            try:
                facts = self._side.ask(f"pool {name}", CALL_S, read_pool, name)
            except Late:
                seen.silent.add(name)
                continue
            if facts is not None:
                self._note(facts, seen)
        self._store.run(storage_sync.store_pools, self._watch.host_id, seen)

    def _note(self, facts: PoolFacts, seen: PoolsSeen) -> None:
        seen.facts[facts.name] = facts
        spec = definition(facts)
        if facts.is_active and spec.kind in FOLDER_KINDS and spec.target_path:
            self._paths[facts.name] = spec.target_path
            if spec.target_path in self._spaces:
                seen.spaces[facts.name] = self._spaces[spec.target_path]
        else:
            self._paths.pop(facts.name, None)

    def read_volumes(self) -> None:
        """What lies in the pools: names each time, new and long unread volumes one by one."""
        for shelf in self._store.run(storage_sync.shelves, self._watch.host_id):
            if self._is_silent(shelf.name):
                continue
            try:
                self._read_shelf(shelf)
            except Late:
                log.warning("%s: pool %s hangs", self._watch.name, shelf.name)
            except VirtError as error:
                self._watch.connection()  # raises if it is the host that is gone
                log.info("%s: volumes of %s not read: %s", self._watch.name, shelf.name, error.technical)

    def _read_shelf(self, shelf: Shelf) -> None:
        about = f"pool {shelf.name}"
        read_at = timezone.now()
        names = self._side.ask(about, CALL_S, volume_names, shelf.name)
        files = self._files(shelf)
        there = [name for name in names if files is None or name in files]
        new = [name for name in there if name not in shelf.known or name in shelf.bare]
        old = sorted((name for name in there if name in shelf.known), key=lambda name: shelf.known[name])
        due = [name for name in old if shelf.known[name] < read_at - READ_AGAIN] if shelf.is_lister else []
        read = []
        for name in [*new, *due[:VOLUMES_AT_ONCE]]:
            read += self._side.ask(about, CALL_S, read_volumes, shelf.name, [name])
        found = {volume.name for volume in read}
        for name in set(files or {}) - set(shelf.known) - found:
            path = f"{self._paths[shelf.name]}/{name}"
            read.append(storage_sync.bare(name, path, *(files or {})[name]))
        is_complete = files is not None or (shelf.is_lister and shelf.host_id is not None)
        self._store.run(storage_sync.store_volumes, shelf, files or names, read, read_at, is_complete=is_complete)

    def _files(self, shelf: Shelf) -> dict[str, tuple[int, int]] | None:
        """What lies in the folder now; None if this host is not the one to say, or cannot."""
        path = self._paths.get(shelf.name)
        if path is None or not shelf.is_lister or not self._watch.target.has_ssh:
            return None
        return files_in(self._watch.target, path)
