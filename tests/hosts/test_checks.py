"""What the preflight says about what it found."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from hosts.models import Host
from hosts.operations.checks import Check, Found, all_checks
from hosts.states import Level
from tests.factories import GIB, make_host
from virt import moves, survey
from virt.survey import Hypervisor

OUTPUT = """time=1700000000.5
uid=0
hostname=vmhost1
os_name=Debian GNU/Linux 12 (bookworm)
kernel=6.1.0-40-amd64
uptime=7200.25
dev_kvm=1
cpu_flag=1
tool=virsh
tool=virt-ssh-helper
tool=nc-U
systemd=1
unit=virtlogd
unit=virtlockd
unit=libvirtd
lock_manager=lockd
usedns=no
permitrootlogin=yes
nameservers=1
bridge=virbr0
bridge=br0
host_key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAIkz10KbyEncxwjCx0WESDALakwFVUD
"""
MACHINE = survey.parse(OUTPUT, 1700000000.0)
HYPERVISOR = Hypervisor(
    libvirt_version="9.0.0",
    qemu_version="7.2.22",
    hostname="vmhost1",
    uuid="74a613bc-2d23-5214-a960-60809af0d52c",
    arch="x86_64",
    domain_types=("kvm", "qemu"),
    machine_types=("q35", "pc"),
    cpu_model="EPYC",
    cpu_vendor="AMD",
    cpu_xml="",
    cpus=8,
    cpu_mhz=2600,
    topology={},
    memory_bytes=16 * GIB,
    pools=(("images", True),),
)


@pytest.fixture
def host(db: None) -> Host:
    return Host.objects.create(name="vmhost1", address="10.47.100.3", host_keys=[["ssh-ed25519", "AAAA"]], has_kvm=True)


def found(host: Host, **changes: Any) -> Found:
    given: dict[str, Any] = {"login_s": 0.3, "machine": MACHINE, "hypervisor": HYPERVISOR}
    return Found(host, **{**given, **changes})


def by_key(what: Found) -> dict[str, Check]:
    return {check.key: check for check in all_checks(what)}


def test_a_good_host_has_nothing_to_cure(host: Host) -> None:
    checks = by_key(found(host))
    assert {check.level for check in checks.values()} == {Level.OK}
    assert set(checks) == {
        "ssh", "tunnel", "libvirt", "qemu", "kvm", "cpu", "memory", "uuid", "clock", "names", "bridges", "pools",
        "locks", "peers",
    }  # fmt: skip


def test_everything_that_is_not_fine_says_what_to_do(host: Host) -> None:
    bad_machine = survey.parse(
        "time=1700000100\nuid=1000\nhostname=localhost\nusedns=yes\nunit=libvirtd\n", 1700000000.0
    )
    bad = found(host, login_s=9.0, machine=bad_machine, hypervisor=None, hypervisor_error="Permission denied")
    for check in all_checks(bad):
        assert (check.level == Level.OK) == (check.cure == ""), check
        assert check.text


def test_no_login_is_a_problem_and_nothing_is_guessed(host: Host) -> None:
    checks = by_key(found(host, login_s=None, machine=None, hypervisor=None, login_error="The host does not answer."))
    assert checks["ssh"].level == Level.PROBLEM
    assert set(checks) <= {"ssh", "libvirt", "peers"}


def test_a_slow_login_points_at_dns(host: Host) -> None:
    slow = by_key(found(host, login_s=11.0, machine=replace(MACHINE, sshd={"usedns": "yes"})))["ssh"]
    assert slow.level == Level.WARNING
    assert "UseDNS" in slow.command


def test_libvirt_that_does_not_run(host: Host) -> None:
    stopped = replace(MACHINE, units=frozenset({"virtlogd"}))
    check = by_key(found(host, machine=stopped, hypervisor=None, hypervisor_error="refused"))["libvirt"]
    assert check.level == Level.PROBLEM
    assert "install" in check.command


def test_an_account_without_the_right(host: Host) -> None:
    check = by_key(found(host, machine=replace(MACHINE, is_root=False), hypervisor=None))["libvirt"]
    assert "usermod -aG libvirt root" in check.command


def test_no_way_for_libvirt_through_ssh(host: Host) -> None:
    check = by_key(found(host, machine=replace(MACHINE, tools=frozenset({"virsh"}))))["tunnel"]
    assert check.level == Level.PROBLEM
    assert "netcat" in check.command


@pytest.mark.parametrize("dev", [True, False])
def test_without_kvm_it_works_emulated(host: Host, dev: bool) -> None:
    check = by_key(found(host, machine=replace(MACHINE, has_kvm=False, has_dev_kvm=dev)))["kvm"]
    assert check.level == Level.WARNING
    assert ("vmx" in check.text) == dev


def test_another_vendor_than_the_others(host: Host) -> None:
    other = make_host("vmhost2", cpu_vendor="Intel", has_kvm=True)
    check = by_key(found(host, others=[other]))["cpu"]
    assert check.level == Level.WARNING
    assert "Intel" in check.text


def test_the_same_uuid_as_another_host_is_refused(host: Host) -> None:
    make_host("twin", uuid=UUID(HYPERVISOR.uuid))
    check = by_key(found(host))["uuid"]
    assert check.level == Level.PROBLEM
    assert "twin" in check.text
    assert "uuidgen" in check.command


def test_a_wrong_clock(host: Host) -> None:
    assert by_key(found(host, machine=replace(MACHINE, clock_offset_s=-75.0)))["clock"].level == Level.WARNING


def test_a_bridge_that_the_others_have(host: Host) -> None:
    check = by_key(found(host, others=[make_host("vmhost2", bridges=["br0", "br1", "virbr0"])]))["bridges"]
    assert check.level == Level.WARNING
    assert "br1" in check.text
    assert "virbr0" not in check.text


def test_a_pool_that_is_not_started(host: Host) -> None:
    check = by_key(found(host, hypervisor=replace(HYPERVISOR, pools=(("iso", False),))))["pools"]
    assert (check.level, check.command) == (Level.WARNING, "virsh pool-start iso")


def test_the_same_name_as_another_host(host: Host) -> None:
    check = by_key(found(host, others=[make_host("vmhost2", hostname="vmhost1")]))["names"]
    assert check.level == Level.WARNING


def test_other_hosts_that_it_can_not_reach(host: Host) -> None:
    other = make_host("vmhost2")
    check = by_key(found(host, others=[other], reached={other.pk: "vmhost2 does not let vmhost1 in"}))["peers"]
    assert check.level == Level.WARNING
    assert "does not let" in check.text


def test_the_script_only_reads() -> None:
    for word in (" rm ", " mv ", "> /", "tee ", "restart", "install"):
        assert word not in survey.SCRIPT


def test_what_the_script_says_is_read_whatever_it_says() -> None:
    odd = survey.parse("no sign\n=\ntime=x\nuptime=\nuid=\nbridge=a=b\nhost_key=alone\nnameservers=\n", 5.0)
    assert odd.clock_offset_s == 0.0
    assert odd.bridges == ("a=b",)
    assert odd.host_keys == ()


@pytest.mark.parametrize(
    ("until", "level", "word"),
    [
        (timedelta(days=100), Level.OK, "valid until"),
        (timedelta(days=29), Level.WARNING, "end on"),
        (-timedelta(days=1), Level.WARNING, "ended on"),
        (None, Level.WARNING, "can't be read"),
    ],
)
def test_certificates(
    host: Host, monkeypatch: pytest.MonkeyPatch, until: timedelta | None, level: str, word: str
) -> None:
    """When they end is openssl's to say (tests/virt/test_authority.py); here, what is made of it."""
    ends = None if until is None else timezone.now() + until
    monkeypatch.setattr("virt.authority.valid_until", lambda pem: ends)
    has = {"ca-cert": "Y2E=", "server-cert": "Y2VydA==", "server-key": "1", "directory": "/etc/pki/qemu"}
    means = moves.parse("".join(f"{key}={value}\n" for key, value in has.items()))
    check = next(check for check in all_checks(Found(host, means=means)) if check.key == "encryption")
    assert check.level == level
    assert word in check.text
    assert bool(check.cure) == (level != Level.OK)
