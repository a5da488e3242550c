"""What hosts report about themselves and their networks -> rows."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from hosts import sync
from hosts.models import Host, Network, NetworkOnHost
from hosts.states import HostState
from tests.cluster.watching import simulated
from tests.factories import make_host
from virt.errors import HostKeyChanged, HostUnreachable
from virt.hostinfo import NodeFigures, Space, cpu_percent, parse_pulse
from virt.inventory.networks import Lease, NetworkState

pytestmark = pytest.mark.django_db
LAN = """<network><name>lan</name><forward mode='nat'/><bridge name='{bridge}'/>
<ip address='{ip}' netmask='255.255.255.0'/></network>"""


def network(bridge: str = "virbr1", ip: str = "10.9.0.1", **more: Any) -> NetworkState:
    given: dict[str, Any] = {"name": "lan", "uuid": "6f2c1b9a-0000-4000-8000-000000000001", "is_active": True}
    xml = LAN.format(bridge=bridge, ip=ip)
    return NetworkState(**{**given, "autostart": True, "bridge": bridge, "xml": xml, **more})


def store(host: Host, *found: NetworkState, leases: dict[str, list[Lease]] | None = None) -> None:
    sync.store_networks(host.pk, found, leases or {}, timezone.now())


def test_facts_are_asked_and_stored(tmp_path: Path) -> None:
    host = simulated(tmp_path, 1)
    sync.refresh_host(host)
    sync.refresh_networks(host)
    host.refresh_from_db()
    assert (host.cpus, host.memory_bytes, host.arch) == (16, 3 << 30, "i686")
    assert re.fullmatch(r"\d+\.\d+\.\d+", host.libvirt_version)
    assert host.networks.get().network.name == "lan"


def test_silent_and_refused_and_up_again() -> None:
    host = make_host()
    sync.mark_down(host.pk, HostUnreachable("The host does not answer.", "timed out"))
    host.refresh_from_db()
    assert (host.state, host.last_error_technical, host.cpu_percent) == (HostState.UNREACHABLE, "timed out", None)
    sync.mark_down(host.pk, HostKeyChanged("The host shows another SSH key than the pinned one."))
    host.refresh_from_db()
    assert host.state == HostState.REFUSED
    since = host.state_since
    sync.store_figures(host.pk, timezone.now(), 12.0, 5 << 30, 0.5)
    host.refresh_from_db()
    assert (host.state, host.last_error, host.cpu_percent, host.load1) == (HostState.UP, "", 12.0, 0.5)
    assert host.state_since > since


def test_the_same_machine_twice_is_found() -> None:
    first, second = make_host("a"), make_host("b", uuid=None)
    assert sync.same_machine(second.pk, str(first.uuid)) == first
    assert sync.same_machine(first.pk, str(first.uuid)) is None
    assert sync.same_machine(second.pk, "") is None
    sync.mark_same(second.pk, first)
    second.refresh_from_db()
    assert second.state == HostState.REFUSED
    assert "host_uuid" in second.last_error


def test_networks_of_one_name_are_one_network() -> None:
    one, two = make_host("vmhost1"), make_host("vmhost2")
    store(one, network(), leases={"lan": [Lease("52:54:00:00:00:01", "10.9.0.5", "web")]})
    store(two, network("virbr9"))
    assert Network.objects.get().mode == "nat"
    rows = NetworkOnHost.objects.order_by("host__name")
    assert [row.bridge for row in rows] == ["virbr1", "virbr9"]
    assert rows[0].identity == rows[1].identity  # libvirt chose the bridges' names
    assert rows[0].leases == [{"mac": "52:54:00:00:00:01", "ip": "10.9.0.5", "hostname": "web"}]
    store(two, network("virbr9", ip="10.8.0.1"))
    assert rows[0].identity != NetworkOnHost.objects.get(host=two).identity


def test_a_network_that_is_gone_is_marked_and_comes_back() -> None:
    host = make_host()
    store(host, network())
    store(host)
    row = NetworkOnHost.objects.get()
    assert (row.missing_since is not None, row.is_active) == (True, False)
    store(host, network())
    row.refresh_from_db()
    assert (row.missing_since, row.is_active) == (None, True)


def test_the_pulse_is_read_as_the_host_writes_it() -> None:
    pulse = parse_pulse(
        "load 0.42\nuptime 3600.5\nneighbour 52:54:00:AA:00:01 10.0.0.5\n"
        "space 4096 1000 400 300 /var/lib/my pool\nbad /gone\n"
    )
    assert (pulse.load1, pulse.uptime_s) == (0.42, 3600.5)
    assert pulse.neighbours == {"52:54:00:aa:00:01": ["10.0.0.5"]}
    assert pulse.spaces == {"/var/lib/my pool": Space(4096000, 1638400, 1228800), "/gone": None}


def test_how_busy_a_host_is() -> None:
    before, now = NodeFigures(0.0, 100, 1000), NodeFigures(10.0, 350, 2000)
    assert cpu_percent(before, now) == 25.0
    assert cpu_percent(None, now) is None
    assert cpu_percent(now, before) is None


def test_free_memory_of_a_host_in_a_container_is_of_what_it_may_use() -> None:
    gib = 1 << 30
    assert NodeFigures(0.0, memory_free_bytes=20 * gib, memory_all_bytes=24 * gib).free_of(8 * gib) == 4 * gib
    assert NodeFigures(0.0, memory_free_bytes=2 * gib).free_of(8 * gib) == 2 * gib
