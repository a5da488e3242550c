"""Virtual networks: https://libvirt.org/formatnetwork.html"""

import ipaddress
from dataclasses import dataclass

from lxml import etree

from virt.names import check_bridge, check_domain, check_uuid
from virt.xml.tree import BadXml, Element, add, attribute, number, parse_document, serialise, text_of

BUILDABLE_MODES = ("nat", "route", "isolated", "bridge")


@dataclass(frozen=True)
class NetworkSpec:
    """mode nat, route, isolated, or bridge (VMs join a bridge the host already has); read also: open...

    ipv4 is the host's own address in it with the prefix, "192.168.100.1/24". With an empty bridge_name
    libvirt chooses virbrN. forward_device limits nat and route to one interface of the host.
    """

    name: str
    mode: str = "nat"
    uuid: str = ""
    bridge_name: str = ""
    ipv4: str = ""
    dhcp_start: str = ""
    dhcp_end: str = ""
    ipv6: str = ""
    domain: str = ""
    forward_device: str = ""
    mtu: int | None = None


def build(spec: NetworkSpec) -> str:
    """The network XML. Raises ValueError for what cannot be."""
    _check(spec)
    network = etree.Element("network")
    add(network, "name", spec.name)
    if spec.uuid:
        add(network, "uuid", check_uuid(spec.uuid))
    if spec.mode != "isolated":
        add(network, "forward", mode=spec.mode, dev=spec.forward_device or None)
    if spec.mode == "bridge":
        add(network, "bridge", name=check_bridge(spec.bridge_name))
        return serialise(network)
    name = check_bridge(spec.bridge_name) if spec.bridge_name else None
    add(network, "bridge", name=name, stp="on", delay="0")
    if spec.mtu is not None:
        add(network, "mtu", size=str(spec.mtu))
    if spec.domain:
        add(network, "domain", name=check_domain(spec.domain), localOnly="yes")
    if spec.ipv4:
        _add_ipv4(network, spec)
    if spec.ipv6:
        address = ipaddress.IPv6Interface(spec.ipv6)
        add(network, "ip", family="ipv6", address=str(address.ip), prefix=str(address.network.prefixlen))
    return serialise(network)


def _check(spec: NetworkSpec) -> None:
    if not spec.name:
        raise ValueError("a network needs a name")
    if spec.mode not in BUILDABLE_MODES:
        raise ValueError(f"a network is one of {', '.join(BUILDABLE_MODES)}, not {spec.mode!r}")
    if spec.mode == "bridge":
        if not spec.bridge_name:
            raise ValueError("a bridged network needs the name of the hosts' bridge")
        if spec.ipv4 or spec.ipv6 or spec.domain or spec.forward_device or spec.mtu:
            raise ValueError("a bridged network has no addresses of its own: the bridge's network gives them")
    elif spec.mode in ("nat", "route") and not (spec.ipv4 or spec.ipv6):
        raise ValueError("this network needs an address range, for example 192.168.100.1/24")
    if spec.mode == "isolated" and spec.forward_device:
        raise ValueError("an isolated network has no way out")
    if bool(spec.dhcp_start) != bool(spec.dhcp_end) or (spec.dhcp_start and not spec.ipv4):
        raise ValueError("DHCP needs an address range, its first and its last address")
    if spec.mtu is not None and not 576 <= spec.mtu <= 65535:
        raise ValueError("the MTU must lie between 576 and 65535")


def _add_ipv4(network: Element, spec: NetworkSpec) -> None:
    address = ipaddress.IPv4Interface(spec.ipv4)
    prefix = address.network.prefixlen
    if prefix > 30 or address.ip in (address.network.network_address, address.network.broadcast_address):
        raise ValueError(f"{spec.ipv4} is not an address for the host in a network, like 192.168.100.1/24")
    ip = add(network, "ip", address=str(address.ip), prefix=str(prefix))
    if not spec.dhcp_start:
        return
    start, end = ipaddress.IPv4Address(spec.dhcp_start), ipaddress.IPv4Address(spec.dhcp_end)
    if start > end or start not in address.network or end not in address.network:
        raise ValueError("the DHCP range must lie inside the network, first address first")
    if start <= address.ip <= end:
        raise ValueError("the DHCP range contains the host's own address")
    add(add(ip, "dhcp"), "range", start=str(start), end=str(end))


def parse(xml: str) -> NetworkSpec:
    """Read a network XML. Raises BadXml; what NetworkSpec has no field for is left out."""
    network = parse_document(xml, "network")
    forward = network.find("forward")
    mtu = attribute(network, "mtu", "size")
    ipv4, ipv6 = _address(network, "ipv4"), _address(network, "ipv6")
    return NetworkSpec(
        name=text_of(network, "name"),
        mode="isolated" if forward is None else forward.get("mode", "nat"),
        uuid=text_of(network, "uuid").strip().lower(),
        bridge_name=attribute(network, "bridge", "name"),
        ipv4=ipv4,
        dhcp_start=attribute(network, "ip/dhcp/range", "start"),
        dhcp_end=attribute(network, "ip/dhcp/range", "end"),
        ipv6=ipv6,
        domain=attribute(network, "domain", "name"),
        forward_device="" if forward is None else forward.get("dev", ""),
        mtu=number(mtu, "mtu") if mtu else None,
    )


def _address(network: Element, family: str) -> str:
    for ip in network.iterchildren("ip"):
        address = ip.get("address", "")
        if ip.get("family", "ipv4") != family or not address:
            continue
        size = ip.get("prefix") or ip.get("netmask")
        try:
            return str(ipaddress.ip_interface(f"{address}/{size}" if size else address))
        except ValueError as err:
            raise BadXml(f"the network has an address that is none: {address[:60]!r}") from err
    return ""


def difference(a: NetworkSpec, b: NetworkSpec) -> dict[str, tuple[str, str]]:
    """What two hosts' definitions of one network differ in: field -> the two values as text.

    UUIDs may differ; so may the bridge's name where libvirt chose it (virbrN), except in mode bridge.
    """
    found: dict[str, tuple[str, str]] = {}
    for field in (
        "mode",
        "ipv4",
        "dhcp_start",
        "dhcp_end",
        "ipv6",
        "domain",
        "forward_device",
        "mtu",
        "bridge_name",
    ):
        left, right = getattr(a, field), getattr(b, field)
        if field == "bridge_name" and a.mode != "bridge" and _is_chosen(left) and _is_chosen(right):
            continue
        if left != right:
            found[field] = (str(left or ""), str(right or ""))
    return found


def _is_chosen(name: str) -> bool:
    return name == "" or (name.startswith("virbr") and name[5:].isdigit())
