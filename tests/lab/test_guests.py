"""The tiny guest reads its seed, lives on shared storage, moves live, and hangs with its storage."""

import re
import time
from collections.abc import Callable, Iterator

import pytest

from lab import faults
from lab.config import Host, Lab
from tests.lab.tools import eventually, last_tick, mac_of, on, remove_guest, serial, start_tiny, state

pytestmark = pytest.mark.lab
PATIENCE_S = 90  # emulated guests on a busy machine
META = "instance-id: one\nlocal-hostname: from-meta\n"
STATIC = """version: 2
ethernets:
  nic0:
    match: {macaddress: "%s"}
    addresses: [%s.77/24]
"""
Start = Callable[[str, dict[str, str]], str]


@pytest.fixture
def start(lab: Lab, trusting_lab: Lab, vmhost1: Host, vmhost2: Host) -> Iterator[Start]:
    """Starts guests on vmhost1; whatever was started is gone afterwards, wherever it went."""
    started: list[str] = []

    def _start(name: str, files: dict[str, str]) -> str:
        started.append(name)
        start_tiny(lab, vmhost1, name, files)
        return name

    yield _start
    for name in started:
        for host in (vmhost1, vmhost2):
            remove_guest(lab, host, name)


def test_hostname_and_static_address_come_from_the_seed(lab: Lab, vmhost1: Host, start: Start) -> None:
    user = "#cloud-config\nhostname: web01\nfqdn: web01.example.org\n"
    config = STATIC % (mac_of("seeded"), lab.subnet)
    start("seeded", {"meta-data": META, "user-data": user, "network-config": config})
    eventually(lambda: "web01: tiny guest" in serial(lab, vmhost1, "seeded"), PATIENCE_S, "guest's greeting")
    assert f"address {lab.subnet}.77" in serial(lab, vmhost1, "seeded")
    assert "1 received" in on(lab, vmhost1, f"ping -c 1 -W 2 {lab.subnet}.77")


def test_without_network_config_it_asks_for_an_address(lab: Lab, vmhost1: Host, start: Start) -> None:
    start("leased", {"meta-data": META, "user-data": "#cloud-config\n{}\n"})
    eventually(lambda: "from-meta has" in serial(lab, vmhost1, "leased"), PATIENCE_S, "an address")
    found = re.search(rf"from-meta has ({re.escape(lab.subnet)}\.1\d\d) on eth0", serial(lab, vmhost1, "leased"))
    assert found
    assert "1 received" in on(lab, vmhost1, f"ping -c 1 -W 2 {found[1]}")
    assert found[1] in on(lab, lab.host("vmstorage"), "cat /var/lib/misc/lab.leases")


def test_the_power_button_ends_it(lab: Lab, vmhost1: Host, start: Start) -> None:
    start("button", {"meta-data": META, "user-data": "#cloud-config\n{}\n"})
    eventually(lambda: "tiny guest" in serial(lab, vmhost1, "button"), PATIENCE_S, "guest's greeting")
    time.sleep(1)
    on(lab, vmhost1, "virsh shutdown --mode acpi button")
    eventually(lambda: state(lab, vmhost1, "button") == "shut off", PATIENCE_S, "shut off")


def test_it_moves_live_without_unsafe(lab: Lab, vmhost1: Host, vmhost2: Host, start: Start) -> None:
    start("mover", {"meta-data": META, "user-data": "#cloud-config\nruncmd:\n  - tick\n"})
    eventually(lambda: last_tick(lab, vmhost1, "mover") >= 2, PATIENCE_S, "ticks")
    before = last_tick(lab, vmhost1, "mover")
    on(lab, vmhost1, "virsh migrate --live --p2p --persistent --undefinesource mover qemu+ssh://vmhost2/system")
    assert state(lab, vmhost1, "mover") == ""
    assert state(lab, vmhost2, "mover") == "running"
    eventually(lambda: last_tick(lab, vmhost2, "mover") > before + 1, PATIENCE_S, "ticks on the new host")


def test_a_dirtying_guest_makes_a_migration_long(lab: Lab, vmhost1: Host, vmhost2: Host, start: Start) -> None:
    start("dirty", {"meta-data": META, "user-data": "#cloud-config\nruncmd:\n  - dirty 40 40\n  - tick\n"})
    eventually(lambda: last_tick(lab, vmhost1, "dirty") >= 3, PATIENCE_S, "ticks")
    move = "virsh migrate --live --p2p --bandwidth 8 dirty qemu+ssh://vmhost2/system"
    on(lab, vmhost1, f"nohup {move} > /root/move.log 2>&1 &")
    time.sleep(6)
    assert "Memory remaining" in on(lab, vmhost1, "virsh domjobinfo dirty")
    on(lab, vmhost1, "virsh domjobabort dirty")
    eventually(lambda: "pgrep" not in on(lab, vmhost1, "pgrep -f 'virsh migrat[e]' || echo gone"), PATIENCE_S, "virsh")
    assert state(lab, vmhost1, "dirty") == "running"
    assert state(lab, vmhost2, "dirty") == ""


def test_hanging_storage_stops_the_guest_until_it_resumes(lab: Lab, vmhost1: Host, start: Start) -> None:
    start("hung", {"meta-data": META, "user-data": "#cloud-config\nruncmd:\n  - tick\n"})
    eventually(lambda: last_tick(lab, vmhost1, "hung") >= 2, PATIENCE_S, "ticks")
    faults.storage_hang(lab)
    faults.storage_hang(lab)
    time.sleep(3)
    stuck = last_tick(lab, vmhost1, "hung")
    time.sleep(4)
    assert last_tick(lab, vmhost1, "hung") <= stuck + 1
    faults.storage_resume(lab)
    eventually(lambda: last_tick(lab, vmhost1, "hung") > stuck + 3, PATIENCE_S, "ticks again")
