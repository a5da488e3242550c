"""Networks of a host and who got which address from them."""

from dataclasses import dataclass

import libvirt

from virt.errors import NotFound, Unsupported, VirtError, translated
from virt.xml import network as network_xml


@dataclass(frozen=True)
class NetworkState:
    """bridge is "" for a network without one (or one that is not active)."""

    name: str
    uuid: str
    is_active: bool
    autostart: bool
    bridge: str
    xml: str


@dataclass(frozen=True)
class Lease:
    mac: str
    ip: str
    hostname: str


def read_networks(conn: "libvirt.virConnect") -> list[NetworkState]:
    """Every network, one by one; one that goes away meanwhile is left out. Raises VirtError."""
    with translated():
        networks = conn.listAllNetworks()
    found = []
    for network in networks:
        try:
            with translated():
                found.append(_state(network))
        except NotFound:
            continue
    return found


def _state(network: "libvirt.virNetwork") -> NetworkState:
    xml = network.XMLDesc(0)
    return NetworkState(
        name=network.name(),
        uuid=network.UUIDString(),
        is_active=bool(network.isActive()),
        autostart=bool(network.isPersistent() and network.autostart()),
        bridge=network_xml.parse(xml).bridge_name,
        xml=xml,
    )


def read_leases(conn: "libvirt.virConnect", name: str) -> list[Lease]:
    """Addresses the network gave by DHCP; [] if it gives none. Raises VirtError."""
    try:
        with translated():
            leases = conn.networkLookupByName(name).DHCPLeases()
    except (NotFound, Unsupported):
        return []
    except VirtError:
        if not conn.isAlive():
            raise
        return []
    return [Lease((one.get("mac") or "").lower(), one["ipaddr"], one.get("hostname") or "") for one in leases]


def identity(xml: str) -> str:
    """A text that is equal on hosts whose networks of one name do the same (as virt.xml.network.difference)."""
    spec = network_xml.parse(xml)
    bridge = spec.bridge_name if spec.mode == "bridge" or not spec.bridge_name.startswith("virbr") else ""
    parts = (spec.ipv4, spec.dhcp_start, spec.dhcp_end, spec.ipv6, spec.domain, spec.forward_device, bridge)
    return " ".join([spec.mode, *(part or "-" for part in parts), str(spec.mtu or "-")])[:255]
