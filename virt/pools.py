"""Storage pools and their volumes on one host: define, start, fill, empty. Takes an open connection (virt.connection).

Source: libvirt.org/html/libvirt-libvirt-storage.html. Every function blocks. Pools and volumes are named, not looked up
by the callers: a volume another host made on shared storage is found by one refresh.
"""

import re
import time
from dataclasses import dataclass

import libvirt
from django.utils.translation import gettext as _

from virt.errors import AlreadyExists, NotFound, Unsupported, VirtError, WrongState, translate, translated
from virt.xml import pool as pool_xml
from virt.xml import volume as volume_xml
from virt.xml.volume import VolumeSpec, VolumeSummary

BUSY_FOR_S = 3.0
BUSY_POLL_S = 0.1
MOUNT_FAILED = re.compile(r"/mount .* unexpected exit status \d+: (?P<why>.*)", re.DOTALL)


@dataclass(frozen=True)
class PoolFacts:
    """What a host says of one pool. The three sizes are None while it is not active."""

    name: str
    uuid: str
    xml: str
    is_active: bool
    autostart: bool
    capacity_bytes: int | None = None
    allocation_bytes: int | None = None
    available_bytes: int | None = None


# --- pools -----------------------------------------------------------------------------------------------------------


def lookup(conn: "libvirt.virConnect", name: str) -> "libvirt.virStoragePool":
    """The pool of this name. Raises NotFound."""
    with translated():
        return conn.storagePoolLookupByName(name)


def find(conn: "libvirt.virConnect", name: str) -> PoolFacts | None:
    """What the host says of the pool of this name, or None if there is none."""
    try:
        pool = lookup(conn, name)
    except NotFound:
        return None
    return facts(pool)


def facts(pool: "libvirt.virStoragePool") -> PoolFacts:
    """Name, definition, state and sizes of a pool."""
    with translated():
        is_active = bool(pool.isActive())
        sizes = pool.info()[1:4] if is_active else [None, None, None]
        return PoolFacts(
            pool.name(),
            pool.UUIDString(),
            pool.XMLDesc(0),
            is_active,
            bool(pool.autostart()),
            *sizes,
        )


def define(conn: "libvirt.virConnect", xml: str) -> str:
    """Define a pool, or change the definition of the one with the same UUID. Returns the UUID.

    Raises AlreadyExists if another pool of this host has the name, or uses the same source or folder.
    """
    flags = getattr(libvirt, "VIR_STORAGE_POOL_DEFINE_VALIDATE", 0)
    try:
        return _define(conn, xml, flags)
    except Unsupported:  # libvirt before 8.0 knows no VALIDATE here
        return _define(conn, xml, 0)


def _define(conn: "libvirt.virConnect", xml: str, flags: int) -> str:
    try:
        return str(conn.storagePoolDefineXML(xml, flags).UUIDString())
    except libvirt.libvirtError as error:
        text = error.get_error_message() or ""
        if "source conflict" in text.lower():
            other = text.rpartition(":")[2].strip().strip("'")
            message = _("The pool “%(name)s” of this host uses the same source already.") % {"name": other}
            raise AlreadyExists(message, text, error.get_error_code()) from error
        raise translate(error) from error


def start(conn: "libvirt.virConnect", name: str, *, build: bool = True) -> None:
    """Start a pool if it is not active. With `build`, a folder or mount point that is not there is made first.

    An existing folder keeps its owner and permissions: libvirt would change them when it builds.
    """
    pool = lookup(conn, name)
    with translated():
        if pool.isActive():
            return
    try:
        pool.create(0)
    except libvirt.libvirtError as error:
        if not build or not _folder_missing(error):
            raise _start_error(error) from error
        with translated():
            pool.build(0)
        try:
            pool.create(0)
        except libvirt.libvirtError as again:
            _unbuild(pool)
            raise _start_error(again) from again


def _unbuild(pool: "libvirt.virStoragePool") -> None:
    """Remove the folder that was just made; libvirt does it by rmdir, which spares one that is not empty.

    A mount that failed holds the folder for some moments more.
    """
    until = time.monotonic() + BUSY_FOR_S
    while True:
        try:
            pool.delete(0)
            return
        except libvirt.libvirtError:  # an empty folder that stays matters less than why the start failed
            if time.monotonic() > until:
                return
        time.sleep(BUSY_POLL_S)


def _folder_missing(error: "libvirt.libvirtError") -> bool:
    text = (error.get_error_message() or "").lower()
    return "no such file" in text or "mount point" in text or "does not exist" in text


def _start_error(error: "libvirt.libvirtError") -> VirtError:
    problem = translate(error)
    failed = MOUNT_FAILED.search(problem.technical)
    if failed is None:
        return problem
    message = _("The host could not mount it: %(text)s") % {"text": " ".join(failed["why"].split())}
    return VirtError(message, problem.technical, problem.code)


def stop(conn: "libvirt.virConnect", name: str) -> None:
    """Stop a pool (a network file system is unmounted). Content stays. No error if it is not active or not there."""
    try:
        pool = lookup(conn, name)
    except NotFound:
        return
    with translated():
        if pool.isActive():
            pool.destroy()


def undefine(conn: "libvirt.virConnect", name: str) -> None:
    """Remove the definition of a stopped pool. Content stays. No error if there is none."""
    try:
        pool = lookup(conn, name)
    except NotFound:
        return
    with translated():
        pool.undefine()


def set_autostart(conn: "libvirt.virConnect", name: str, *, on: bool) -> None:
    """Whether libvirtd starts the pool when it starts."""
    pool = lookup(conn, name)
    with translated():
        if bool(pool.autostart()) != on:
            pool.setAutostart(1 if on else 0)


def refresh(conn: "libvirt.virConnect", name: str) -> None:
    """Let libvirt look again what lies in an active pool.

    libvirt refuses while a volume is being made there: waited for shortly, then WrongState. Blocks.
    """
    pool = lookup(conn, name)
    until = time.monotonic() + BUSY_FOR_S
    while True:
        try:
            pool.refresh(0)
            return
        except libvirt.libvirtError as error:
            text = error.get_error_message() or ""
            if "asynchronous jobs running" not in text:
                raise translate(error) from error
            if time.monotonic() > until:
                message = _("A file is being written to this pool now.")
                raise WrongState(message, text, error.get_error_code()) from error
        time.sleep(BUSY_POLL_S)


def find_sources(conn: "libvirt.virConnect", kind: str, server: str) -> list[pool_xml.PoolSpec]:
    """What a server offers for pools of this libvirt kind, as this host sees it. Blocks until the server answers.

    Source: libvirt-libvirt-storage.html#virConnectFindStoragePoolSources; the host asks by showmount, iscsiadm…
    """
    with translated():
        xml = conn.findStoragePoolSources(kind, pool_xml.search(server), 0)
    return pool_xml.parse_sources(xml, kind)


def definition(facts_: PoolFacts) -> pool_xml.PoolSpec:
    """A host's definition as a spec."""
    return pool_xml.parse(facts_.xml)


# --- volumes ---------------------------------------------------------------------------------------------------------


def volumes(conn: "libvirt.virConnect", pool_name: str) -> list[VolumeSummary]:
    """Every volume of an active pool. A volume that goes away meanwhile is left out."""
    found = []
    with translated():
        handles = lookup(conn, pool_name).listAllVolumes(0)
    for handle in handles:
        try:
            found.append(volume_xml.parse(handle.XMLDesc(0)))
        except libvirt.libvirtError as error:
            if not isinstance(translate(error), NotFound):
                raise translate(error) from error
    return found


def lookup_volume(conn: "libvirt.virConnect", pool_name: str, name: str) -> "libvirt.virStorageVol":
    """The volume of this name; the pool is refreshed once if libvirt does not know it. Raises NotFound."""
    pool = lookup(conn, pool_name)
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if not isinstance(translate(error), NotFound):
            raise translate(error) from error
    try:
        refresh(conn, pool_name)
    except WrongState:
        pass  # an upload goes on: what libvirt knows is what there is to ask
    with translated():
        return pool.storageVolLookupByName(name)


def find_volume(conn: "libvirt.virConnect", pool_name: str, name: str) -> VolumeSummary | None:
    """What libvirt says of a volume, or None if it is not in the pool."""
    try:
        handle = lookup_volume(conn, pool_name, name)
    except NotFound:
        return None
    with translated():
        return volume_xml.parse(handle.XMLDesc(0))


def create_volume(conn: "libvirt.virConnect", pool_name: str, spec: VolumeSpec) -> str:
    """Make a volume and return its path. Raises AlreadyExists, NoSpace, Unsupported."""
    xml = volume_xml.build(spec)
    pool = lookup(conn, pool_name)
    with translated():
        return str(pool.createXML(xml, 0).path())


def clone_volume(conn: "libvirt.virConnect", pool_name: str, name: str, spec: VolumeSpec) -> str:
    """Copy a volume of the pool into a new one; returns its path. Blocks for as long as the copy takes."""
    xml = volume_xml.build(spec)
    source = lookup_volume(conn, pool_name, name)
    pool = lookup(conn, pool_name)
    with translated():
        return str(pool.createXMLFrom(xml, source, 0).path())


def resize_volume(conn: "libvirt.virConnect", pool_name: str, name: str, capacity_bytes: int) -> None:
    """Grow a volume. Shrinking is refused by libvirt without a flag that Drover never gives."""
    handle = lookup_volume(conn, pool_name, name)
    with translated():
        handle.resize(capacity_bytes, 0)


def delete_volume(conn: "libvirt.virConnect", pool_name: str, name: str) -> bool:
    """Delete a volume for good. False if it was not there."""
    try:
        handle = lookup_volume(conn, pool_name, name)
    except NotFound:
        return False
    try:
        handle.delete(0)
    except libvirt.libvirtError as error:
        problem = translate(error)
        if isinstance(problem, NotFound) or "no such file" in problem.technical.lower():
            return False
        raise problem from error
    return True
