"""Domains as a host reports them: all states and counters in one call, definitions one by one.

Source: libvirt.org/html/libvirt-libvirt-domain.html#virConnectGetAllDomainStats (names and units of the fields).
"""

import time
from dataclasses import dataclass
from typing import Any

import libvirt

from virt import snapshots
from virt.errors import NotFound, Unsupported, VirtError, translated
from virt.guests import STATES
from virt.xml.domain import AGENT_CHANNEL
from virt.xml.snapshot import SnapshotSummary
from virt.xml.tree import parse_document

STATISTICS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
# a domain whose QEMU is stuck in another call is reported without its counters instead of holding up all others
NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
# paused because memory is on its way from or to another host, or not yet started: it runs elsewhere, or nowhere yet
_TRANSIT = {
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
}


@dataclass(frozen=True)
class Counters:
    """Sums since the VM was started, read at `at` (time.monotonic). None: this driver or VM does not count it.

    memory_used_bytes is what the guest says (balloon driver), else what QEMU occupies on the host.
    """

    at: float
    cpu_ns: int | None = None
    vcpus: int | None = None
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    disk_read_bytes: int = 0
    disk_write_bytes: int = 0
    net_rx_bytes: int = 0
    net_tx_bytes: int = 0


@dataclass(frozen=True)
class DiskSize:
    """capacity is what the guest sees, allocation what it takes on the storage."""

    target: str
    capacity_bytes: int | None
    allocation_bytes: int | None


@dataclass(frozen=True)
class DomainState:
    """state is a word of virt.guests.STATES. is_in_transit: paused as one end of a migration, not by a person."""

    uuid: str
    name: str
    state: str
    is_in_transit: bool
    counters: Counters
    disks: tuple[DiskSize, ...] = ()


@dataclass(frozen=True)
class DomainDetail:
    """Definitions of a domain. live_xml is "" when it is off; persistent_xml is what the next start would use.

    autostart is None for a domain that is not persistent: it has none.
    """

    uuid: str
    is_persistent: bool
    autostart: bool | None
    persistent_xml: str
    live_xml: str
    is_agent_connected: bool
    snapshots: tuple[SnapshotSummary, ...] = ()


@dataclass(frozen=True)
class Reading:
    """One domain, read because something about it changed."""

    state: DomainState
    detail: DomainDetail


@dataclass(frozen=True)
class Marks:
    """UUIDs of the domains that are kept on the host, and of those that it starts by itself."""

    persistent: frozenset[str]
    autostart: frozenset[str]


def read_states(conn: "libvirt.virConnect") -> list[DomainState]:
    """State and counters of every domain: one call. Raises VirtError."""
    at = time.monotonic()
    try:
        with translated():
            records = conn.getAllDomainStats(STATISTICS, NOWAIT)
    except Unsupported:  # libvirt before 4.5 knows no NOWAIT
        with translated():
            records = conn.getAllDomainStats(STATISTICS, 0)
    return [_state(domain, fields, at) for domain, fields in records]


def read_marks(conn: "libvirt.virConnect") -> Marks:
    """Two calls. Raises VirtError."""
    with translated():
        persistent = conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
        autostart = conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    return Marks(frozenset(one.UUIDString() for one in persistent), frozenset(one.UUIDString() for one in autostart))


def read_state(conn: "libvirt.virConnect", uuid: str) -> DomainState | None:
    """State and counters of one domain, None if the host does not hold it: two calls. Raises VirtError."""
    try:
        with translated():
            return _one(conn, conn.lookupByUUIDString(uuid))
    except NotFound:
        return None


def read_domain(conn: "libvirt.virConnect", uuid: str) -> Reading | None:
    """State, counters and definitions of one domain, None if the host does not hold it. Raises VirtError."""
    try:
        with translated():
            domain = conn.lookupByUUIDString(uuid)
            state = _one(conn, domain)
            return None if state is None else Reading(state, _detail(domain))
    except NotFound:
        return None


def _one(conn: "libvirt.virConnect", domain: "libvirt.virDomain") -> DomainState | None:
    at = time.monotonic()
    records = conn.domainListGetStats([domain], STATISTICS, NOWAIT)
    return _state(domain, records[0][1], at) if records else None


def _detail(domain: "libvirt.virDomain") -> DomainDetail:
    is_persistent = bool(domain.isPersistent())
    live_xml = str(domain.XMLDesc(0)) if domain.isActive() else ""
    return DomainDetail(
        uuid=domain.UUIDString(),
        is_persistent=is_persistent,
        autostart=bool(domain.autostart()) if is_persistent else None,
        persistent_xml=str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)),
        live_xml=live_xml,
        is_agent_connected=bool(live_xml) and _is_agent_connected(live_xml),
        snapshots=snapshots.read(domain),
    )


def _is_agent_connected(live_xml: str) -> bool:
    root = parse_document(live_xml, "domain")
    targets = root.iterfind("devices/channel/target")
    return any(one.get("name") == AGENT_CHANNEL and one.get("state") == "connected" for one in targets)


def _state(domain: "libvirt.virDomain", fields: dict[str, Any], at: float) -> DomainState:
    number, reason = fields.get("state.state", 0), fields.get("state.reason", 0)
    return DomainState(
        uuid=domain.UUIDString(),
        name=domain.name(),
        state=STATES.get(number, "unknown"),
        is_in_transit=number == libvirt.VIR_DOMAIN_PAUSED and reason in _TRANSIT,
        counters=_counters(fields, at),
        disks=tuple(_disks(fields)),
    )


def _counters(fields: dict[str, Any], at: float) -> Counters:
    current = fields.get("balloon.current")
    return Counters(
        at=at,
        cpu_ns=fields.get("cpu.time"),
        vcpus=fields.get("vcpu.current"),
        memory_bytes=None if current is None else current * 1024,
        memory_used_bytes=_memory_used(fields),
        disk_read_bytes=_sum(fields, "block", "rd.bytes"),
        disk_write_bytes=_sum(fields, "block", "wr.bytes"),
        net_rx_bytes=_sum(fields, "net", "rx.bytes"),
        net_tx_bytes=_sum(fields, "net", "tx.bytes"),
    )


def _memory_used(fields: dict[str, Any]) -> int | None:
    available = fields.get("balloon.available")
    free = fields.get("balloon.usable", fields.get("balloon.unused"))
    if available is not None and free is not None:
        return max(0, available - free) * 1024
    rss = fields.get("balloon.rss")
    if rss is None:
        return None
    return min(rss, fields.get("balloon.current", rss)) * 1024


def _sum(fields: dict[str, Any], group: str, name: str) -> int:
    return sum(fields.get(f"{group}.{number}.{name}", 0) for number in range(fields.get(f"{group}.count", 0)))


def _disks(fields: dict[str, Any]) -> list[DiskSize]:
    found = []
    for number in range(fields.get("block.count", 0)):
        prefix = f"block.{number}."
        target = fields.get(prefix + "name", "")
        found.append(DiskSize(target, fields.get(prefix + "capacity"), fields.get(prefix + "allocation")))
    return found


# --- addresses -------------------------------------------------------------------------------------------------------

LEASE = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
ARP = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP
AGENT = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT


def read_addresses(conn: "libvirt.virConnect", uuid: str, source: int) -> list[tuple[str, str]]:
    """MAC and address of a running VM's interfaces by one source; [] if that source knows nothing.

    AGENT asks the guest and can hang for as long as the guest pleases. Raises HostUnreachable only.
    """
    try:
        with translated():
            interfaces = conn.lookupByUUIDString(uuid).interfaceAddresses(source, 0)
    except VirtError:
        if not conn.isAlive():
            raise
        return []
    found = []
    for interface in interfaces.values():
        mac = (interface.get("hwaddr") or "").lower()
        found += [(mac, entry["addr"]) for entry in interface.get("addrs") or []]
    return found
