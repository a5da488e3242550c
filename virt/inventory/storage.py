"""Pools of a host and what lies in them. Any call here can hang for as long as the storage does."""

import libvirt

from virt.errors import NotFound, VirtError, translated
from virt.pools import PoolFacts, facts, lookup
from virt.xml import volume as volume_xml
from virt.xml.volume import VolumeSummary


def pool_names(conn: "libvirt.virConnect") -> list[str]:
    """The names of all pools: one call."""
    with translated():
        return [pool.name() for pool in conn.listAllStoragePools()]


def read_pool(conn: "libvirt.virConnect", name: str) -> PoolFacts | None:
    """One pool, None if the host does not hold it."""
    try:
        return facts(lookup(conn, name))
    except NotFound:
        return None


def volume_names(conn: "libvirt.virConnect", pool_name: str) -> list[str]:
    """The names of all volumes of an active pool: two calls."""
    pool = lookup(conn, pool_name)
    with translated():
        return [volume.name() for volume in pool.listAllVolumes(0)]


def read_volumes(conn: "libvirt.virConnect", pool_name: str, names: list[str]) -> list[VolumeSummary]:
    """Some volumes of a pool, two calls each; one that cannot be read (gone, broken) is left out."""
    pool = lookup(conn, pool_name)
    found = []
    for name in names:
        try:
            with translated():
                found.append(volume_xml.parse(pool.storageVolLookupByName(name).XMLDesc(0)))
        except VirtError:
            if not conn.isAlive():
                raise
    return found
