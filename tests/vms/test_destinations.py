"""What speaks against a host as the target of a migration; database only."""

from typing import Any

import pytest

from hosts.models import Host, NetworkOnHost
from hosts.states import HostState, Transport
from storage.models import PoolOnHost
from tests.factories import GIB, make_host, make_network, make_pool, make_vm
from vms.destinations import best, destinations
from vms.models import Vm

pytestmark = pytest.mark.django_db


@pytest.fixture
def three() -> list[Host]:
    return [make_host(f"vmhost{number}") for number in (1, 2, 3)]


@pytest.fixture
def vm(three: list[Host]) -> Vm:
    return make_vm(three[0], pool=make_pool("vmstorage", *three))


def reasons(vm: Vm, host: Host, mode: str = "live") -> str:
    return " ".join(map(str, next(one for one in destinations(vm, mode) if one.host == host).blockers))


def test_it_works(vm: Vm, three: list[Host]) -> None:
    assert [one.is_possible for one in destinations(vm, "live")] == [True, True]


def test_best_is_the_one_with_most_free_memory(vm: Vm, three: list[Host]) -> None:
    Host.objects.filter(pk=three[2].pk).update(memory_free_bytes=15 * GIB)
    found = best(vm, "live")
    assert found is not None
    assert found.host == three[2]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"maintenance": True}, "maintenance"),
        ({"observed_state": HostState.UNREACHABLE}, "does not answer"),
        ({"memory_free_bytes": GIB // 2}, "too little free memory"),
        ({"arch": "aarch64"}, "aarch64"),
        ({"bridges": ["br9"]}, "no bridge br0"),
    ],
)
def test_host_says_why_not(vm: Vm, three: list[Host], changes: dict[str, Any], word: str) -> None:
    Host.objects.filter(pk=three[1].pk).update(**changes)
    assert word in reasons(vm, three[1])


def test_pool_missing_there(vm: Vm, three: list[Host]) -> None:
    PoolOnHost.objects.filter(host=three[1]).update(is_active=False)
    assert "vmstorage" in reasons(vm, three[1])
    assert reasons(vm, three[2]) == ""


def test_pool_with_another_source(vm: Vm, three: list[Host]) -> None:
    PoolOnHost.objects.filter(host=three[1]).update(identity="glusterfs:elsewhere")
    assert "another source" in reasons(vm, three[1])


def test_local_disks_need_a_copy(three: list[Host]) -> None:
    vm = make_vm(three[0], "local", pool=make_pool("default", *three, kind="dir"))
    assert "with disk copy" in reasons(vm, three[1])
    assert reasons(vm, three[1], "copy") == ""
    PoolOnHost.objects.filter(host=three[1]).update(available_bytes=GIB)
    assert "too little space" in reasons(vm, three[1], "copy")


def test_the_largest_of_several_disks_needs_the_room(three: list[Host]) -> None:
    vm = make_vm(three[0], "local", pool=make_pool("default", *three, kind="dir"))
    disk = vm.disks[0]
    vm.hardware["disks"] = [{**disk, "capacity_bytes": size * GIB} for size in (1, 60, 2)]
    assert reasons(vm, three[1], "copy").count("too little space") == 1
    vm.hardware["disks"] = [{**disk, "capacity_bytes": size * GIB} for size in (1, 40, 2)]
    assert reasons(vm, three[1], "copy") == ""


def test_disk_outside_any_pool(three: list[Host]) -> None:
    assert "no pool" in reasons(make_vm(three[0], "stray"), three[1])


def test_network_must_be_active(vm: Vm, three: list[Host]) -> None:
    make_network("lan", *three)
    NetworkOnHost.objects.filter(host=three[1]).update(is_active=False)
    vm.hardware["nics"] = [{"mac": "52:54:00:00:00:02", "kind": "network", "source": "lan"}]
    assert "lan" in reasons(vm, three[1])
    assert reasons(vm, three[2]) == ""


def test_passthrough_stays(vm: Vm, three: list[Host]) -> None:
    vm.hardware["passthrough"] = [{"kind": "pci", "address": "0000:03:00.0"}]
    assert "0000:03:00.0" in reasons(vm, three[1])


def test_no_trust_between_hosts(vm: Vm, three: list[Host]) -> None:
    Host.objects.update(transport=Transport.SSH)
    vm.refresh_from_db()
    assert "log in" in reasons(vm, three[1])
    Host.objects.filter(pk=three[0].pk).update(trusted_hosts=[three[1].pk])
    vm.refresh_from_db()
    assert reasons(vm, three[1]) == ""


def test_this_machine_needs_an_address_first(vm: Vm, three: list[Host]) -> None:
    Host.objects.update(transport=Transport.SSH)
    Host.objects.filter(pk=three[1].pk).update(transport=Transport.LOCAL, address="")
    vm.refresh_from_db()
    assert "vmhost2 has no address" in reasons(vm, three[1])


def test_machine_type_unknown_there(vm: Vm, three: list[Host]) -> None:
    vm.hardware["machine"] = "pc-q35-9.2"
    Host.objects.filter(pk=three[1].pk).update(machine_types=["pc-q35-7.2"])
    assert "pc-q35-9.2" in reasons(vm, three[1])


def test_clock_is_a_warning(vm: Vm, three: list[Host]) -> None:
    Host.objects.filter(pk=three[1].pk).update(clock_offset_s=90.0)
    found = next(one for one in destinations(vm, "live") if one.host == three[1])
    assert found.is_possible
    assert "clocks" in str(found.warnings[0])


def test_queries_do_not_grow_with_hosts(vm: Vm, django_assert_num_queries: Any) -> None:
    for number in range(4, 24):
        make_host(f"vmhost{number}")
    with django_assert_num_queries(4):
        destinations(vm, "live")
