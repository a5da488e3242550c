"""Every fault does what it says, can be repeated, and is undone by heal."""

import socket
import time

import pytest

from lab import cgroups, cluster, faults, hosts
from lab.config import Host, Lab
from lab.errors import LabError
from tests.lab.tools import eventually, on

pytestmark = pytest.mark.lab


def connect_ms(lab: Lab, host: Host) -> float:
    began = time.monotonic()
    socket.create_connection((lab.address(host), 22), timeout=5).close()
    return (time.monotonic() - began) * 1000


def libvirt_answers(lab: Lab, host: Host) -> bool:
    return "yes" in on(lab, host, "timeout 2 virsh list >/dev/null 2>&1 && echo yes || echo no")


def test_cut_and_heal(lab: Lab, vmhost2: Host) -> None:
    faults.cut(lab, vmhost2)
    faults.cut(lab, vmhost2)
    assert not hosts.answers(lab.address(vmhost2))
    assert "vmhost2" in hosts.execute(lab, vmhost2, ["hostname"]), "it must run on, alone"
    faults.heal(lab, vmhost2)
    assert hosts.answers(lab.address(vmhost2))


def test_a_slow_cable_delays_and_limits(lab: Lab, vmhost2: Host) -> None:
    connect_ms(lab, vmhost2)
    assert connect_ms(lab, vmhost2) < 20
    faults.slow_down(lab, vmhost2, delay_ms=40, rate_mbit=16)
    faults.slow_down(lab, vmhost2, delay_ms=40, rate_mbit=16)
    connect_ms(lab, vmhost2)
    assert 75 <= connect_ms(lab, vmhost2) < 200
    began = time.monotonic()
    on(lab, vmhost2, "cat > /dev/null", text=b"x" * 4_000_000)
    assert time.monotonic() - began > 2
    faults.heal(lab, vmhost2)
    assert connect_ms(lab, vmhost2) < 20


def test_a_frozen_host_is_silent_and_goes_on(lab: Lab, vmhost2: Host) -> None:
    faults.freeze(lab, vmhost2)
    faults.freeze(lab, vmhost2)
    assert not hosts.answers(lab.address(vmhost2))
    assert {row["name"]: row["state"] for row in cluster.status(lab)}["vmhost2"] == "frozen"
    faults.thaw(lab, vmhost2)
    eventually(lambda: hosts.answers(lab.address(vmhost2)), 5, "vmhost2 answers")


def test_libvirtd_hangs_and_goes_on(lab: Lab, vmhost2: Host) -> None:
    assert libvirt_answers(lab, vmhost2)
    faults.libvirtd(lab, vmhost2, "stop")
    faults.libvirtd(lab, vmhost2, "stop")
    assert not libvirt_answers(lab, vmhost2)
    faults.libvirtd(lab, vmhost2, "cont")
    assert libvirt_answers(lab, vmhost2)


@pytest.mark.parametrize("what", ["kill", "restart"])
def test_libvirtd_comes_back(lab: Lab, vmhost2: Host, what: str) -> None:
    before = on(lab, vmhost2, "pidof libvirtd || pidof virtqemud")
    faults.libvirtd(lab, vmhost2, what)
    eventually(lambda: libvirt_answers(lab, vmhost2), 15, "libvirtd answers")
    assert on(lab, vmhost2, "pidof libvirtd || pidof virtqemud") != before


def test_a_hanging_libvirtd_is_healed(lab: Lab, vmhost2: Host) -> None:
    faults.libvirtd(lab, vmhost2, "stop")
    faults.heal(lab, vmhost2)
    assert libvirt_answers(lab, vmhost2)


def test_power_cut_keeps_the_disk_only(lab: Lab, vmhost2: Host) -> None:
    on(lab, vmhost2, "touch /root/on-disk /run/in-memory; sync")
    faults.power_off(lab, vmhost2)
    faults.power_off(lab, vmhost2)
    assert not hosts.answers(lab.address(vmhost2))
    assert not cgroups.pids(cgroups.host_group(lab, vmhost2))
    with pytest.raises(LabError, match="off"):
        faults.freeze(lab, vmhost2)
    faults.power_on(lab, vmhost2)
    faults.power_on(lab, vmhost2)
    on(lab, vmhost2, "test -e /root/on-disk && ! test -e /run/in-memory")


def test_a_power_cut_says_no_goodbye(lab: Lab, vmhost2: Host) -> None:
    connection = socket.create_connection((lab.address(vmhost2), 22), timeout=3)
    connection.settimeout(2)
    assert connection.recv(4) == b"SSH-"
    connection.recv(4096)
    faults.power_off(lab, vmhost2)
    with pytest.raises(TimeoutError):
        connection.recv(4096)
    connection.close()


def test_heal_undoes_everything_at_once(lab: Lab, vmhost2: Host) -> None:
    faults.libvirtd(lab, vmhost2, "stop")
    faults.slow_down(lab, vmhost2, delay_ms=30, rate_mbit=0)
    faults.freeze(lab, vmhost2)
    faults.cut(lab, vmhost2)
    faults.power_off(lab, lab.host("vmhost3"))
    faults.storage_hang(lab)
    cluster.heal(lab)
    assert {row["state"] for row in cluster.status(lab) if row["kind"] != "full"} == {"up"}
    assert libvirt_answers(lab, vmhost2)


def test_an_unknown_host_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match="vmhost9"):
        lab.host("vmhost9")
