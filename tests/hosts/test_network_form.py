"""What a person may type for a network."""

from typing import Any

import pytest

from hosts.models import Host, Network
from hosts.network_form import NetworkForm
from tests.factories import make_host, make_network


@pytest.fixture
def host(db: None) -> Host:
    return make_host("vmhost1", bridges=["br0", "virbr0"])


def form(host: Host, **data: Any) -> NetworkForm:
    return NetworkForm({"name": "lab", "mode": "nat", "cidr": "10.99.0.0/24", "dhcp": "on", "hosts": [host.pk], **data})


def test_it_works(host: Host) -> None:
    good = form(host)
    assert good.is_valid(), good.errors
    assert good.spec() == {
        "bridge": "",
        "cidr": "10.99.0.1/24",
        "dhcp_start": "10.99.0.2",
        "dhcp_end": "10.99.0.254",
        "domain": "",
        "autostart": False,
    }


def test_the_range_lies_beside_the_hosts_own_address(host: Host) -> None:
    good = form(host, cidr="10.99.0.200/24")
    assert good.is_valid()
    assert (good.spec()["dhcp_start"], good.spec()["dhcp_end"]) == ("10.99.0.1", "10.99.0.199")


@pytest.mark.parametrize("name", ["a b", "x;reboot", "<b>", "../x", "🐎", "a" * 300, "12"])
def test_hostile_names(host: Host, name: str) -> None:
    assert "name" in form(host, name=name).errors


@pytest.mark.parametrize(
    "cidr",
    ["", "10.99.0.1", "10.99.0.0/33", "10.99.0.0/30", "10.99.0.0/7", "10.99.0.255/24", "224.0.0.0/24", "127.0.0.0/24",
     "300.1.1.1/24", "fd00::/64", "0.0.0.0/24", "; reboot", "🐎"],
)  # fmt: skip
def test_networks_that_are_none(host: Host, cidr: str) -> None:
    assert list(form(host, cidr=cidr).errors) == ["cidr"]


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        ("10.98.0.2", "10.99.0.9", "dhcp_start"),
        ("10.99.0.2", "10.99.1.9", "dhcp_end"),
        ("10.99.0.9", "10.99.0.2", "dhcp_end"),
        ("10.99.0.1", "10.99.0.9", "dhcp_start"),
        ("10.99.0.0", "10.99.0.9", "dhcp_start"),
        ("x", "10.99.0.9", "dhcp_start"),
        ("10.99.0.5", "", "dhcp_end"),
    ],
)
def test_ranges_that_can_not_be(host: Host, start: str, end: str, field: str) -> None:
    assert list(form(host, dhcp_start=start, dhcp_end=end).errors) == [field]


def test_no_dhcp_no_range(host: Host) -> None:
    good = form(host, dhcp="", dhcp_start="10.99.0.9")
    assert good.is_valid(), good.errors
    assert good.spec()["dhcp_start"] == ""


def test_overlap_with_a_network_of_ours(host: Host) -> None:
    Network.objects.create(name="other", mode="nat", spec={"cidr": "10.99.0.129/25"})
    assert "other" in form(host).errors["cidr"][0]


def test_overlap_with_a_network_found_on_a_host(host: Host) -> None:
    found = make_network("default", host)
    found.presences.update(xml="<network><name>default</name><ip address='10.99.0.1' netmask='255.255.0.0'/></network>")
    assert "default" in form(host).errors["cidr"][0]


def test_a_name_is_used_once(host: Host) -> None:
    make_network("LAB", host)
    assert "name" in form(host).errors


def test_isolated_needs_no_addresses(host: Host) -> None:
    good = form(host, mode="isolated", cidr="")
    assert good.is_valid(), good.errors
    assert good.spec()["cidr"] == good.spec()["dhcp_start"] == ""


def test_bridged_needs_a_bridge_that_all_chosen_hosts_have(host: Host) -> None:
    bare = make_host("vmhost2", bridges=["virbr0"])
    assert "bridge" in form(host, mode="bridge", bridge="").errors
    good = form(host, mode="bridge", bridge="br0")
    assert good.is_valid(), good.errors
    assert good.spec()["cidr"] == ""
    both = form(host, mode="bridge", bridge="br0", hosts=[host.pk, bare.pk])
    assert "vmhost2" in both.errors["bridge"][0]


@pytest.mark.parametrize("bridge", ["sixteen-letters1", "br 0", "br/0", "🐎", "$(id)"])
def test_hostile_bridge_names(host: Host, bridge: str) -> None:
    assert "bridge" in form(host, bridge=bridge).errors


def test_a_bridge_that_is_there_is_not_taken_for_a_new_network(host: Host) -> None:
    assert "vmhost1" in form(host, bridge="br0").errors["bridge"][0]


def test_a_host_must_be_chosen_and_belong_to_the_cluster(host: Host) -> None:
    new = make_host("new", is_managed=False)
    assert "hosts" in form(host, hosts=[]).errors
    assert "hosts" in form(host, hosts=[new.pk]).errors
