"""What hosts report about pools and volumes -> rows. Pools are matched by name; what is no longer there is marked."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from hosts.models import Host
from hosts.states import HostState
from storage import filling
from storage.backends import identity, recognise
from storage.models import Pool, PoolOnHost, Volume
from ui import live
from virt.connection import connect
from virt.hostinfo import Space
from virt.inventory.storage import pool_names, read_pool, read_volumes, volume_names
from virt.pools import PoolFacts, refresh
from virt.xml import pool as pool_xml
from virt.xml.pool import PoolSpec
from virt.xml.tree import BadXml
from virt.xml.volume import VolumeSummary

log = logging.getLogger(__name__)
FOLDER_KINDS = frozenset({"dir", "fs", "netfs"})  # libvirt's kinds of which the target is a folder on the host


@dataclass
class PoolsSeen:
    """One look at all pools of a host.

    names: all it has, None if it did not say. silent: pools whose storage or libvirt did not answer in time.
    spaces: pool name -> its file system; None: the folder cannot be read.
    """

    read_at: datetime
    names: Collection[str] | None = None
    facts: dict[str, PoolFacts] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    spaces: dict[str, Space | None] = field(default_factory=dict)


# --- pools -----------------------------------------------------------------------------------------------------------


def known_pools(host_id: int) -> list[str]:
    """The pools the host is known to have."""
    rows = PoolOnHost.objects.filter(host_id=host_id, missing_since=None)
    return list(rows.values_list("pool__name", flat=True))


def store_pools(host_id: int, seen: PoolsSeen) -> None:
    """All cells of a host."""
    topics: list[str] = []
    with transaction.atomic():
        host = Host.objects.filter(pk=host_id).first()
        if host is None:
            return
        cells = {cell.pool.name: cell for cell in PoolOnHost.objects.filter(host=host).select_related("pool")}
        for name, facts in seen.facts.items():
            try:
                cell = cells.get(name) or _adopt(host, facts, seen.read_at, topics)
                _store_cell(cell, facts, name in seen.silent, seen, topics)
            except BadXml as error:
                log.warning("pool %s on %s cannot be read: %s", name, host.name, error)
        for name in seen.silent - set(seen.facts):
            if name in cells:
                _write(cells[name], {"error": _silent_text()}, topics)
        for name, cell in cells.items():
            if seen.names is not None and name not in seen.names and cell.seen_at and cell.missing_since is None:
                _write(cell, {"missing_since": seen.read_at, "is_active": False}, topics)
        transaction.on_commit(lambda: live.publish(*dict.fromkeys(topics)))


def _silent_text() -> str:
    return _("The storage does not answer.")


def _adopt(host: Host, facts: PoolFacts, read_at: datetime, topics: list[str]) -> PoolOnHost:
    """The cell of a pool that this host was not known to have; the pool itself may be known by its name."""
    spec = pool_xml.parse(facts.xml)
    kind, source = recognise(spec)
    pool, _is_new = Pool.objects.get_or_create(
        name=facts.name,
        defaults={
            "kind": kind,
            "libvirt_type": spec.kind,
            "source": source,
            "target_path": spec.target_path,
            "uuid": facts.uuid,
            "is_adopted": True,
            "is_shared": spec.is_shared,
            "autostart": facts.autostart,
        },
    )
    topics += [f"pool.{pool.pk}", "pools"]
    return PoolOnHost.objects.create(pool=pool, host=host, seen_at=read_at)


def _store_cell(cell: PoolOnHost, facts: PoolFacts, is_silent: bool, seen: PoolsSeen, topics: list[str]) -> None:
    spec = pool_xml.parse(facts.xml)
    values: dict[str, Any] = {
        "uuid": facts.uuid,
        "is_active": facts.is_active,
        "autostart": facts.autostart,
        "identity": identity(spec),
        "missing_since": None,
        "error": "",
        "capacity_bytes": facts.capacity_bytes,
        "allocation_bytes": facts.allocation_bytes,
        "available_bytes": facts.available_bytes,
    }
    if facts.is_active and facts.name in seen.spaces:
        values.update(_of_space(seen.spaces[facts.name], spec))
    if is_silent:
        values["error"] = _silent_text()
    else:
        PoolOnHost.objects.filter(pk=cell.pk).update(seen_at=seen.read_at)
    _write(cell, values, topics)
    filling.look(cell)
    _follow_adopted(cell, spec)


def _of_space(space: Space | None, spec: PoolSpec) -> dict[str, Any]:
    """Sizes as the file system says now: libvirt only counts when it refreshes a pool."""
    if space is None:
        return {"error": _("The folder %(path)s cannot be read on the host.") % {"path": spec.target_path}}
    return {
        "capacity_bytes": space.capacity_bytes,
        "allocation_bytes": space.capacity_bytes - space.free_bytes,
        "available_bytes": space.available_bytes,
    }


def _write(cell: PoolOnHost, values: dict[str, Any], topics: list[str]) -> None:
    changed = {column: value for column, value in values.items() if str(getattr(cell, column)) != str(value)}
    if changed:
        PoolOnHost.objects.filter(pk=cell.pk).update(**changed)
        for column, value in changed.items():
            setattr(cell, column, value)
        topics += [f"pool.{cell.pool_id}", "pools"]


def _follow_adopted(cell: PoolOnHost, spec: PoolSpec) -> None:
    """A pool that people define on their only host by hand is what they last made of it."""
    pool = cell.pool
    kind, source = recognise(spec)
    same = (pool.kind, pool.source, pool.target_path) == (kind, source, spec.target_path)
    if not pool.is_adopted or same or PoolOnHost.objects.filter(pool=pool).exclude(pk=cell.pk).exists():
        return
    Pool.objects.filter(pk=pool.pk).update(
        kind=kind, source=source, target_path=spec.target_path, libvirt_type=spec.kind, is_shared=spec.is_shared
    )


# --- volumes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shelf:
    """A usable pool of a host. known: name -> when it was last read; bare: of which only name and size are known.

    is_lister: this host says what is in the pool and what is not; the others only add what they know of.
    """

    pool_id: int
    name: str
    host_id: int | None  # what Volume.host is: None for a shared pool
    is_lister: bool = True
    known: dict[str, datetime] = field(default_factory=dict)
    bare: set[str] = field(default_factory=set)


def shelves(host_id: int) -> list[Shelf]:
    """The usable pools of a host. It lists its own ones, and shared ones of which it is the first host that answers.

    No libvirt knows all of a shared pool: each knows what it made itself, and what lay there when it last looked.
    """
    found = []
    cells = PoolOnHost.objects.filter(host_id=host_id, is_active=True, missing_since=None, error="")
    for cell in cells.select_related("pool"):
        is_shared = cell.pool.is_shared
        is_lister = not is_shared or _lister(cell.pool_id) == host_id
        shelf = Shelf(cell.pool_id, cell.pool.name, None if is_shared else host_id, is_lister)
        rows = _volumes(shelf).filter(missing_since=None)
        for name, seen_at, format_ in rows.values_list("name", "seen_at", "format"):
            shelf.known[name] = seen_at
            if not format_:
                shelf.bare.add(name)
        found.append(shelf)
    return found


def bare(name: str, path: str, size_bytes: int, allocation_bytes: int) -> VolumeSummary:
    """A file of a pool that libvirt has not looked at: made by hand, or by another host."""
    return VolumeSummary(name, path, "file", path, "", size_bytes, allocation_bytes)


def _volumes(shelf: Shelf) -> QuerySet[Volume]:
    return Volume.objects.filter(Q(host=None) if shelf.host_id is None else Q(host=shelf.host_id), pool=shelf.pool_id)


def _lister(pool_id: int) -> int | None:
    cells = PoolOnHost.objects.filter(pool_id=pool_id, is_active=True, missing_since=None, error="")
    up = cells.filter(host__observed_state=HostState.UP)
    return up.order_by("host_id").values_list("host_id", flat=True).first()


def store_volumes(
    shelf: Shelf, names: Iterable[str], read: Sequence[VolumeSummary], read_at: datetime, *, is_complete: bool = True
) -> None:
    """names: everything that lies in the pool now; read: those volumes that were looked at. Others are untouched."""
    with transaction.atomic():
        if not Pool.objects.filter(pk=shelf.pool_id).exists():
            return
        rows = _volumes(shelf)
        is_changed = _store_read(
            shelf, {row.name: row for row in rows.filter(name__in=[v.name for v in read])}, read, read_at
        )
        if is_complete:
            gone = rows.filter(missing_since=None, seen_at__lte=read_at).exclude(name__in=set(names))
            is_changed = bool(gone.update(missing_since=read_at)) or is_changed
        if is_changed:
            transaction.on_commit(lambda: live.publish(f"pool.{shelf.pool_id}"))


def _store_read(shelf: Shelf, rows: Mapping[str, Volume], read: Sequence[VolumeSummary], read_at: datetime) -> bool:
    is_changed = False
    for volume in read:
        values: dict[str, Any] = {
            "path": volume.path,
            "format": volume.format,
            "capacity_bytes": volume.capacity_bytes,
            "allocation_bytes": volume.allocation_bytes,
            "backing_path": volume.backing_path,
            "missing_since": None,
        }
        row = rows.get(volume.name)
        if row is None:
            Volume.objects.create(
                pool_id=shelf.pool_id, host_id=shelf.host_id, name=volume.name, seen_at=read_at, **values
            )
            is_changed = True
            continue
        changed = {column: value for column, value in values.items() if getattr(row, column) != value}
        Volume.objects.filter(pk=row.pk).update(seen_at=read_at, **changed)
        is_changed = is_changed or bool(changed)
    return is_changed


# --- asking at once: for operations that changed something -----------------------------------------------------------


def refresh_pools(host: Host) -> None:
    """Ask a host for all its pools and store the cells. Raises VirtError if it does not answer. Blocks."""
    seen = PoolsSeen(timezone.now())
    with connect(host.target) as conn:
        seen.names = pool_names(conn)
        for name in seen.names:
            facts = read_pool(conn, name)
            if facts is not None:
                seen.facts[name] = facts
    store_pools(host.pk, seen)


def refresh_pool(pool: Pool, host: Host, *, rescan: bool = False) -> None:
    """Ask a host for one pool and everything in it, and store that. Raises VirtError if it does not answer. Blocks.

    rescan: let libvirt look again first what lies there.
    """
    read_at = timezone.now()
    with connect(host.target) as conn:
        facts = read_pool(conn, pool.name)
        is_active = facts is not None and facts.is_active
        if is_active and rescan:
            refresh(conn, pool.name)
            facts = read_pool(conn, pool.name)
        names = volume_names(conn, pool.name) if is_active else []
        volumes = read_volumes(conn, pool.name, names)
    if facts is None:
        _store_missing(pool, host, read_at)
        return
    store_pools(host.pk, PoolsSeen(read_at, facts={pool.name: facts}))
    if is_active:
        pool.refresh_from_db(fields=["is_shared"])
        shelf = Shelf(pool.pk, pool.name, None if pool.is_shared else host.pk)
        store_volumes(shelf, names, volumes, read_at, is_complete=rescan or not pool.is_shared)


def _store_missing(pool: Pool, host: Host, read_at: datetime) -> None:
    with transaction.atomic():
        cells = PoolOnHost.objects.filter(pool=pool, host=host, missing_since=None)
        if cells.update(missing_since=read_at, is_active=False):
            transaction.on_commit(lambda: live.publish(f"pool.{pool.pk}", "pools"))
