"""Virtual networks: every field reaches the XML, libvirt takes it, hosts can be compared."""

import dataclasses
from collections.abc import Callable
from typing import Any

import libvirt
import pytest

from virt.xml import network
from virt.xml.network import NetworkSpec
from virt.xml.tree import BadXml

UUID = "0b5efd80-2c4e-4f63-9a0c-7b2c5e1f4d11"
NAT = NetworkSpec(
    "lab",
    "nat",
    uuid=UUID,
    bridge_name="virbr7",
    ipv4="192.168.100.1/24",
    dhcp_start="192.168.100.10",
    dhcp_end="192.168.100.99",
    ipv6="fd00:100::1/64",
    domain="lab.example.org",
    forward_device="eno1",
    mtu=1400,
)
ROUTE = NetworkSpec("routed", "route", ipv4="10.9.0.1/16")
ISOLATED = NetworkSpec("alone", "isolated", bridge_name="virbr9")
BRIDGE = NetworkSpec("office", "bridge", bridge_name="br0")
NETWORKS = {"nat": NAT, "route": ROUTE, "isolated": ISOLATED, "bridge": BRIDGE}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_works(name: str, golden: Callable[[str, str], None], schema_valid: Callable[[str, str], None]) -> None:
    xml = network.build(NETWORKS[name])

    golden(f"network-{name}.xml", xml)
    schema_valid(xml, "network")
    assert network.parse(xml) == NETWORKS[name]


def test_every_field_is_used() -> None:
    """build and parse are each other's opposite above, so a field that differs somewhere is tested."""
    for field in dataclasses.fields(NetworkSpec):
        assert len({getattr(spec, field.name) for spec in NETWORKS.values()}) > 1, field.name


@pytest.mark.parametrize("name", NETWORKS)
def test_libvirt_takes_it_and_gives_it_back(name: str) -> None:
    spec = dataclasses.replace(NETWORKS[name], uuid=UUID)
    conn = libvirt.open("test:///default")
    made = conn.networkDefineXMLFlags(network.build(spec), libvirt.VIR_NETWORK_DEFINE_VALIDATE)
    try:
        assert network.difference(network.parse(made.XMLDesc(0)), spec) == {}
    finally:
        made.undefine()
        conn.close()


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (NAT, {"name": ""}),
        (NAT, {"name": "a\x01"}),
        (NAT, {"mode": "open"}),
        (NAT, {"uuid": "x"}),
        (NAT, {"ipv4": "192.168.100.0/24"}),
        (NAT, {"ipv4": "192.168.100.255/24"}),
        (NAT, {"ipv4": "192.168.100.1/31"}),
        (NAT, {"ipv4": "192.168.100.1"}),
        (NAT, {"ipv4": "lots"}),
        (NAT, {"ipv6": "fd00::1/200"}),
        (NAT, {"dhcp_start": "10.0.0.1"}),
        (NAT, {"dhcp_start": "192.168.100.200"}),
        (NAT, {"dhcp_start": "192.168.100.1"}),
        (NAT, {"dhcp_start": ""}),
        (NAT, {"bridge_name": "a name that is too long"}),
        (NAT, {"bridge_name": "a/b"}),
        (NAT, {"domain": "-"}),
        (NAT, {"mtu": 10}),
        (ROUTE, {"ipv4": ""}),
        (ROUTE, {"ipv4": "", "dhcp_start": "10.9.0.2", "dhcp_end": "10.9.0.3"}),
        (ISOLATED, {"forward_device": "eno1"}),
        (BRIDGE, {"bridge_name": ""}),
        (BRIDGE, {"ipv4": "10.0.0.1/24"}),
        (BRIDGE, {"mtu": 1500}),
    ],
)
def test_what_cannot_be_is_refused(base: NetworkSpec, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        network.build(dataclasses.replace(base, **changes))


def test_what_libvirt_chose_by_itself_is_no_difference() -> None:
    there = dataclasses.replace(NAT, uuid="", bridge_name="virbr0")

    assert network.difference(NAT, there) == {}
    assert network.difference(NAT, dataclasses.replace(there, ipv4="192.168.101.1/24", mtu=None)) == {
        "ipv4": ("192.168.100.1/24", "192.168.101.1/24"),
        "mtu": ("1400", ""),
    }
    assert network.difference(NAT, dataclasses.replace(NAT, bridge_name="lan7")) == {"bridge_name": ("virbr7", "lan7")}
    assert network.difference(BRIDGE, dataclasses.replace(BRIDGE, bridge_name="br1")) == {"bridge_name": ("br0", "br1")}


def test_other_modes_can_be_read() -> None:
    read = network.parse(
        "<network connections='1'><name>n</name><forward mode='open'/>"
        "<ip address='10.0.0.1' netmask='255.0.0.0'/></network>"
    )
    assert (read.mode, read.ipv4) == ("open", "10.0.0.1/8")
    assert network.parse("<network><name>n</name><forward/></network>").mode == "nat"
    with pytest.raises(BadXml):
        network.parse("<network><ip address='10.0.0.1' prefix='99'/></network>")
    with pytest.raises(BadXml):
        network.parse("<network><mtu size='big'/></network>")
