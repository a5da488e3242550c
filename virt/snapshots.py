"""Snapshots inside the disks' own files (qcow2), with the memory of a running VM.

Tried on libvirt 9.0 with QEMU 7.2: made and gone back to in under a second of a small running VM; the VM can be renamed
and its disks grown meanwhile (going back makes them small again); neither migration nor UEFI goes with them.
"""

import libvirt

from virt.xml import snapshot
from virt.xml.snapshot import SnapshotSummary


def read(domain: "libvirt.virDomain") -> tuple[SnapshotSummary, ...]:
    """All of a domain, oldest first. One call where there is none; () from a driver that knows none."""
    try:
        if not domain.snapshotNum(0):
            return ()
        current = domain.snapshotCurrent(0).getName() if domain.hasCurrentSnapshot(0) else ""
        texts = [(one.getName(), one.getXMLDesc(0)) for one in domain.listAllSnapshots(0)]
    except libvirt.libvirtError as error:
        if error.get_error_code() in {libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT}:
            return ()
        raise
    found = [snapshot.parse(text, is_current=name == current) for name, text in texts]
    return tuple(sorted(found, key=lambda one: (one.taken_at, one.name)))


def _find(conn: "libvirt.virConnect", uuid: str, name: str) -> "libvirt.virDomainSnapshot | None":
    try:
        return conn.lookupByUUIDString(uuid).snapshotLookupByName(name, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
            return None
        raise


def exists(conn: "libvirt.virConnect", uuid: str, name: str) -> bool:
    return _find(conn, uuid, name) is not None


def take(conn: "libvirt.virConnect", uuid: str, name: str, description: str = "") -> None:
    """Blocks until memory and disks are saved; a running guest stands still meanwhile."""
    conn.lookupByUUIDString(uuid).snapshotCreateXML(snapshot.build(name, description), 0)


def revert(conn: "libvirt.virConnect", uuid: str, name: str) -> None:
    """Back to how it was, running if it ran then. What was since is lost, without asking (virsh: --force)."""
    domain = conn.lookupByUUIDString(uuid)
    domain.revertToSnapshot(domain.snapshotLookupByName(name, 0), libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)


def delete(conn: "libvirt.virConnect", uuid: str, name: str) -> bool:
    """Only it: those that were made after it stay. False if it was not there."""
    found = _find(conn, uuid, name)
    if found is not None:
        found.delete(0)
    return found is not None


def forget_all(conn: "libvirt.virConnect", uuid: str) -> None:
    """Only what libvirt knows of them: for a VM that gets another disk."""
    for one in conn.lookupByUUIDString(uuid).listAllSnapshots(0):
        one.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
