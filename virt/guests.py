"""Changing domains: define, power, size, undefine.

Everything takes a connection from `virt.connection.connect` and a UUID. Errors are raised as libvirtError inside
`connect`, which turns them into VirtErrors on its way out.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import libvirt
from lxml import etree

from virt.connection import connect
from virt.errors import HostUnreachable, VirtError
from virt.target import Target
from virt.xml import summary
from virt.xml.note import NAMESPACE, VmNote, note_element
from virt.xml.tree import serialise

NOW, NEXT_BOOT = "now", "next boot"
ASK_WITHIN_S = 20.0
ASK_AT_ONCE = 32
T = TypeVar("T")

# virDomainState -> our word (vms.states.VmState)
STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: "unknown",
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "blocked",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "shutting-down",
    libvirt.VIR_DOMAIN_SHUTOFF: "off",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "suspended",
}


def find(conn: "libvirt.virConnect", uuid: str) -> "libvirt.virDomain | None":
    """The domain with this UUID, None if the host does not hold it."""
    try:
        return conn.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def state_of(conn: "libvirt.virConnect", uuid: str) -> str | None:
    """Our word for the domain's state, None if it is not on this host."""
    domain = find(conn, uuid)
    return None if domain is None else STATES.get(domain.state()[0], "unknown")


def is_persistent(conn: "libvirt.virConnect", uuid: str) -> bool:
    domain = find(conn, uuid)
    return domain is not None and bool(domain.isPersistent())


def define(conn: "libvirt.virConnect", xml: str) -> None:
    """Keep this definition on the host; one that does not fit libvirt's schema is refused."""
    conn.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)


def definition(conn: "libvirt.virConnect", uuid: str, *, inactive: bool = True) -> str:
    """The XML the host holds; inactive: what the next start uses."""
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else 0
    return str(conn.lookupByUUIDString(uuid).XMLDesc(flags))


def disk_path(conn: "libvirt.virConnect", uuid: str, target: str) -> str:
    """The file of a disk at the next start, "" if it has no such disk."""
    disks = summary.parse(definition(conn, uuid)).disks
    return next((disk.source.path for disk in disks if disk.target == target), "")


# --- power -----------------------------------------------------------------------------------------------------------


def start(conn: "libvirt.virConnect", uuid: str) -> None:
    conn.lookupByUUIDString(uuid).create()


def shutdown(conn: "libvirt.virConnect", uuid: str) -> None:
    """Ask the guest to shut down, as its power button does; returns at once."""
    conn.lookupByUUIDString(uuid).shutdown()


def reboot(conn: "libvirt.virConnect", uuid: str) -> None:
    """Ask the guest to reboot; returns at once."""
    conn.lookupByUUIDString(uuid).reboot(0)


def destroy(conn: "libvirt.virConnect", uuid: str) -> None:
    """Take its power away. What the guest had not written is lost."""
    conn.lookupByUUIDString(uuid).destroy()


def reset(conn: "libvirt.virConnect", uuid: str) -> None:
    """As the reset button of a machine."""
    conn.lookupByUUIDString(uuid).reset(0)


def suspend(conn: "libvirt.virConnect", uuid: str) -> None:
    conn.lookupByUUIDString(uuid).suspend()


def resume(conn: "libvirt.virConnect", uuid: str) -> None:
    conn.lookupByUUIDString(uuid).resume()


def set_autostart(conn: "libvirt.virConnect", uuid: str, *, enabled: bool) -> None:
    conn.lookupByUUIDString(uuid).setAutostart(int(enabled))


# --- change ----------------------------------------------------------------------------------------------------------


def rename(conn: "libvirt.virConnect", uuid: str, name: str) -> None:
    """Only of a domain that is off (virDomainRename)."""
    conn.lookupByUUIDString(uuid).rename(name, 0)


def set_texts(conn: "libvirt.virConnect", uuid: str, *, title: str, description: str, note: VmNote) -> None:
    """Title, description and Drover's note, kept and (if it runs) live."""
    domain = conn.lookupByUUIDString(uuid)
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, title or None, None, None, flags)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, description or None, None, None, flags)
    xml = None if note == VmNote() else _without_namespace(note)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml, "drover", NAMESPACE, flags)


def _without_namespace(note: VmNote) -> str:
    """setMetadata adds the namespace itself, and refuses an element that has it already (virXMLInjectNamespace)."""
    element = note_element(note)
    for node in element.iter():
        node.tag = etree.QName(node).localname
    etree.cleanup_namespaces(element)
    return serialise(element)


def set_vcpus(conn: "libvirt.virConnect", uuid: str, vcpus: int, max_vcpus: int | None = None) -> str:
    """Set the number of CPUs; NOW if a running guest has them at once, else NEXT_BOOT. Off: NOW."""
    domain = conn.lookupByUUIDString(uuid)
    config, maximum = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_VCPU_MAXIMUM
    old_most = domain.vcpusFlags(config | maximum)
    most = max(vcpus, max_vcpus or old_most)
    if most > old_most:
        domain.setVcpusFlags(most, config | maximum)
    domain.setVcpusFlags(vcpus, config)
    if most < old_most:
        domain.setVcpusFlags(most, config | maximum)
    if not domain.isActive():
        return NOW
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    live_most = domain.vcpusFlags(live | maximum)
    if vcpus > live_most or (max_vcpus and vcpus == domain.vcpusFlags(live) and most != live_most):
        return NEXT_BOOT
    return _live(lambda: domain.setVcpusFlags(vcpus, live))


def set_memory(conn: "libvirt.virConnect", uuid: str, memory_bytes: int, max_memory_bytes: int | None = None) -> str:
    """Set the memory; NOW if a running guest's balloon can do it, else NEXT_BOOT. Off: NOW."""
    domain = conn.lookupByUUIDString(uuid)
    config, wanted = libvirt.VIR_DOMAIN_AFFECT_CONFIG, -(-memory_bytes // 1024)
    most = max(wanted, -(-(max_memory_bytes or 0) // 1024))
    domain.setMemoryFlags(most, config | libvirt.VIR_DOMAIN_MEM_MAXIMUM)
    domain.setMemoryFlags(wanted, config)
    if not domain.isActive():
        return NOW
    if wanted > domain.maxMemory():
        return NEXT_BOOT
    return _live(lambda: domain.setMemoryFlags(wanted, libvirt.VIR_DOMAIN_AFFECT_LIVE))


def _live(change: Callable[[], object]) -> str:
    """Try on the running guest what is already kept for the next boot."""
    try:
        change()
    except libvirt.libvirtError as error:
        if error.get_error_domain() in {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}:
            raise
        return NEXT_BOOT
    return NOW


def resize_disk(conn: "libvirt.virConnect", uuid: str, target: str, size_bytes: int) -> None:
    """Grow a disk of a running guest (virDomainBlockResize); the guest sees it at once."""
    flags = libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES
    conn.lookupByUUIDString(uuid).blockResize(target, size_bytes, flags)


def disk_capacity(conn: "libvirt.virConnect", uuid: str, target: str) -> int:
    """The size in bytes that the guest sees of a disk."""
    return int(conn.lookupByUUIDString(uuid).blockInfo(target)[0])


def drop_saved_state(conn: "libvirt.virConnect", uuid: str) -> None:
    """Forget the memory that was saved when its host shut down: the next start is a fresh one."""
    domain = conn.lookupByUUIDString(uuid)
    if domain.hasManagedSaveImage(0):
        domain.managedSaveRemove(0)


def undefine(conn: "libvirt.virConnect", uuid: str) -> None:
    """Forget the definition with its saved state, snapshots' records and firmware variables; disks stay."""
    domain = find(conn, uuid)
    if domain is None or not domain.isPersistent():
        return
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if summary.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)).firmware == "uefi":
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    domain.undefineFlags(flags)


# --- many hosts ------------------------------------------------------------------------------------------------------


def ask_all(
    targets: Sequence[Target], question: Callable[["libvirt.virConnect"], T], within_s: float = ASK_WITHIN_S
) -> dict[str, T | VirtError]:
    """Put one question to many hosts at the same time; per target's key its answer, or why there is none.

    Blocks at most `within_s`: a host that hangs keeps its thread, and its answer is HostUnreachable.
    """
    answers: dict[str, T | VirtError] = {}
    todo = list(targets)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not todo:
                    return
                target = todo.pop()
            answer = _ask(target, question)
            with lock:
                answers[target.key] = answer

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(ASK_AT_ONCE, len(todo)))]
    _run_for(threads, within_s)
    with lock:
        todo.clear()
        late = HostUnreachable("The host did not answer in time.")
        return {target.key: answers.get(target.key, late) for target in targets}


def _run_for(threads: list[threading.Thread], within_s: float) -> None:
    for thread in threads:
        thread.start()
    clock = threading.Event()
    timer = threading.Timer(within_s, clock.set)
    timer.daemon = True
    timer.start()
    for thread in threads:
        while thread.is_alive() and not clock.is_set():
            thread.join(0.05)
    timer.cancel()


def _ask(target: Target, question: Callable[["libvirt.virConnect"], T]) -> T | VirtError:
    try:
        with connect(target) as conn:
            return question(conn)
    except VirtError as error:
        return error
