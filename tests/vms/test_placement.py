"""Where a VM goes: reasons for and against each host, from the database alone."""

from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from hosts.models import Host
from jobs.errors import Refused
from storage.models import Image, PoolOnHost
from tests.factories import GIB, make_host, make_network, make_pool, make_vm
from vms.placement import Places, Wish, best, candidates
from vms.states import VmState

pytestmark = pytest.mark.django_db
SMALL = Wish(memory_bytes=GIB, vcpus=1)


def why(name: str, wish: Wish) -> str:
    return next(" ".join(one.against) for one in candidates(wish) if one.host.name == name)


def test_it_works() -> None:
    make_host("full", memory_free_bytes=2 * GIB)
    make_host("free", memory_free_bytes=12 * GIB)
    found = candidates(SMALL)
    assert [one.host.name for one in found] == ["free", "full"]
    assert found[0].fits
    assert "free" in found[0].why


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"observed_state": "unreachable"}, "does not answer"),
        ({"maintenance": True}, "maintenance"),
        ({"memory_free_bytes": GIB // 2}, "memory is free"),
        ({"memory_bytes": 0}, "not known"),
        ({"memory_bytes": GIB // 2}, "has only"),
        ({"cpus": 0}, "CPUs"),
    ],
)
def test_what_stands_against_a_host(change: dict[str, Any], says: str) -> None:
    make_host("vmhost1", **change)
    assert says in why("vmhost1", SMALL)
    with pytest.raises(Refused, match="vmhost1"):
        best(SMALL)


def test_promised_memory_counts() -> None:
    """VMs that run or are being made, whatever the host says is free now; those that are off do not."""
    host = make_host("vmhost1", memory_bytes=16 * GIB, memory_free_bytes=15 * GIB)
    make_vm(host, "a", memory_bytes=8 * GIB)
    make_vm(host, "b", memory_bytes=4 * GIB, observed_state=VmState.CREATING)
    make_vm(host, "c", memory_bytes=64 * GIB, observed_state=VmState.OFF)
    assert candidates(Wish(memory_bytes=2 * GIB, vcpus=1))[0].fits
    assert "memory is free" in why("vmhost1", Wish(memory_bytes=4 * GIB, vcpus=1))


def test_short_memory_can_be_overruled_by_a_person_but_a_missing_pool_cannot() -> None:
    host = make_host("vmhost1", memory_free_bytes=0)
    pool = make_pool("vmstorage", host)
    assert candidates(Wish(GIB, 1, pools=(pool,)))[0].is_possible
    PoolOnHost.objects.update(is_active=False)
    assert not candidates(Wish(GIB, 1, pools=(pool,)))[0].is_possible


def test_pool_image_network_bridge() -> None:
    here, there = make_host("here"), make_host("there", bridges=[])
    pool, local = make_pool("vmstorage", here), make_pool("local", here, kind="dir")
    make_network("default", here)
    image = Image.objects.create(name="d", version="1", pool=local, host=here, volume_name="d", state="ready")
    wish = Wish(GIB, 1, pools=(pool,), images=(image,), networks=("default",), bridges=("br0",))
    assert best(wish).host == here
    against = why("there", wish)
    for words in ("pool vmstorage", "lies on here only", "network default", "no bridge br0"):
        assert words in against
    assert not candidates(wish, exclude=[here.pk])[0].fits
    assert there.name == "there"


def test_full_pool() -> None:
    host = make_host("vmhost1")
    pool = make_pool("vmstorage", host)
    PoolOnHost.objects.update(available_bytes=1024)
    assert "is full" in why("vmhost1", Wish(GIB, 1, pools=(pool,)))


def test_several_spread_out() -> None:
    """What was just placed counts for the next one."""
    for name in ("a", "b"):
        make_host(name, memory_bytes=16 * GIB, memory_free_bytes=16 * GIB)
    places, taken = Places(Wish(4 * GIB, 1)), []
    for _each in range(4):
        taken.append(best(places.wish, places).host)
        places.take(taken[-1])
    assert sorted(host.name for host in taken) == ["a", "a", "b", "b"]


def test_no_host() -> None:
    with pytest.raises(Refused, match="add one"):
        best(SMALL)


def test_few_queries_for_many_hosts(django_assert_max_num_queries: Any) -> None:
    hosts = [make_host(f"h{number}") for number in range(30)]
    pool = make_pool("vmstorage", *hosts)
    with django_assert_max_num_queries(4) as asked:
        candidates(Wish(GIB, 1, pools=(pool,), networks=("default",)))
    assert isinstance(asked, CaptureQueriesContext)
    assert Host.objects.count() == 30
