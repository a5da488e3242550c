"""What hosts report about pools and volumes -> rows."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from hosts.models import Host
from hosts.states import HostState
from storage import sync
from storage.models import Pool, PoolOnHost, Volume
from storage.sync import PoolsSeen
from tests.cluster.watching import simulated
from tests.factories import make_host, make_pool
from virt.hostinfo import Space
from virt.pools import PoolFacts
from virt.xml.volume import VolumeSummary

pytestmark = pytest.mark.django_db
UUID = "5f2c1b9a-0000-4000-8000-00000000000%d"
NFS = """<pool type='netfs'><name>shared</name>
<source><host name='nas'/><dir path='/export'/><format type='nfs'/></source>
<target><path>/pools/shared</path></target></pool>"""
DIR = """<pool type='dir'><name>plain</name><target><path>/pools/plain</path></target></pool>"""


def facts(name: str = "shared", xml: str = NFS, number: int = 1, **more: Any) -> PoolFacts:
    sizes = {"capacity_bytes": 1000, "allocation_bytes": 600, "available_bytes": 400}
    return PoolFacts(
        **{"name": name, "uuid": UUID % number, "xml": xml, "is_active": True, "autostart": True, **sizes, **more}
    )


def look(host: Host, *found: PoolFacts, **more: Any) -> None:
    names = [one.name for one in found]
    seen = {"names": names, "facts": {one.name: one for one in found}}
    sync.store_pools(host.pk, PoolsSeen(timezone.now(), **{**seen, **more}))


def volume(name: str, **more: Any) -> VolumeSummary:
    given = {"key": name, "kind": "file", "path": f"/pools/shared/{name}", "format": "qcow2", "capacity_bytes": 10}
    return VolumeSummary(**{"name": name, "allocation_bytes": 5, **given, **more})


def test_a_pool_that_is_found_is_adopted_once_for_all_hosts() -> None:
    one, two = make_host("vmhost1"), make_host("vmhost2")
    look(one, facts())
    look(two, facts(number=2))
    pool = Pool.objects.get()
    assert (pool.name, pool.kind, pool.is_adopted, pool.is_shared) == ("shared", "nfs", True, True)
    assert pool.target_path == "/pools/shared"
    first, second = PoolOnHost.objects.order_by("host__name")
    assert first.identity == second.identity
    assert (first.is_usable, first.available_bytes) == (True, 400)


def test_sizes_are_those_of_the_file_system_when_it_was_asked() -> None:
    host = make_host()
    look(host, facts(), spaces={"shared": Space(5000, 3000, 2000)})
    cell = PoolOnHost.objects.get()
    assert (cell.capacity_bytes, cell.allocation_bytes, cell.available_bytes) == (5000, 2000, 2000)
    look(host, facts(), spaces={"shared": None})
    cell.refresh_from_db()
    assert "/pools/shared" in cell.error


def test_a_storage_that_hangs_greys_out_only_its_cell() -> None:
    host = make_host()
    look(host, facts(), facts("plain", DIR, 2))
    before = PoolOnHost.objects.get(pool__name="shared").seen_at
    look(host, facts("plain", DIR, 2), names=None, silent={"shared"})
    shared, plain = PoolOnHost.objects.get(pool__name="shared"), PoolOnHost.objects.get(pool__name="plain")
    assert (shared.is_usable, shared.seen_at) == (False, before)
    assert plain.is_usable
    assert plain.seen_at != before
    look(host, facts(), facts("plain", DIR, 2))
    shared.refresh_from_db()
    assert shared.is_usable


def test_a_pool_that_is_gone_is_marked_and_one_never_seen_is_left_alone() -> None:
    host = make_host()
    look(host, facts())
    promised = make_pool("promised")
    PoolOnHost.objects.create(pool=promised, host=host)
    look(host)
    assert PoolOnHost.objects.get(pool__name="shared").missing_since is not None
    assert PoolOnHost.objects.get(pool=promised).missing_since is None


def test_one_host_says_what_a_shared_pool_holds() -> None:
    one, two = make_host("vmhost1"), make_host("vmhost2")
    make_pool("shared", one, two, kind="nfs")
    make_pool("plain", one, two, kind="dir")

    def listed(host: Host) -> list[tuple[str, int | None]]:
        return [(shelf.name, shelf.host_id) for shelf in sync.shelves(host.pk) if shelf.is_lister]

    assert listed(one) == [("shared", None), ("plain", one.pk)]
    assert listed(two) == [("plain", two.pk)]
    Host.objects.filter(pk=one.pk).update(observed_state=HostState.UNREACHABLE)
    assert {name for name, _host in listed(two)} == {"shared", "plain"}


def test_a_file_libvirt_has_not_looked_at_is_there_and_to_be_read() -> None:
    host = make_host()
    make_pool("shared", host, kind="nfs")
    (shelf,) = sync.shelves(host.pk)
    found = sync.bare("by-hand.img", "/pools/shared/by-hand.img", 100, 60)
    sync.store_volumes(shelf, ["by-hand.img"], [found], timezone.now())
    row = Volume.objects.get()
    assert (row.format, row.capacity_bytes, row.allocation_bytes) == ("", 100, 60)
    assert sync.shelves(host.pk)[0].bare == {"by-hand.img"}


def test_volumes_come_change_and_are_missed() -> None:
    host = make_host()
    make_pool("shared", host, kind="nfs")
    (shelf,) = sync.shelves(host.pk)
    sync.store_volumes(shelf, ["a", "b"], [volume("a"), volume("b")], timezone.now())
    assert set(Volume.objects.values_list("name", "host")) == {("a", None), ("b", None)}
    (shelf,) = sync.shelves(host.pk)
    assert set(shelf.known) == {"a", "b"}
    sync.store_volumes(shelf, ["a"], [volume("a", allocation_bytes=9)], timezone.now())
    assert Volume.objects.get(name="a").allocation_bytes == 9
    assert Volume.objects.get(name="b").missing_since is not None


def test_a_volume_made_after_the_look_is_not_missed() -> None:
    host = make_host()
    make_pool("shared", host, kind="nfs")
    (shelf,) = sync.shelves(host.pk)
    looked_at = timezone.now() - timedelta(seconds=1)
    sync.store_volumes(shelf, ["a"], [volume("a")], timezone.now(), is_complete=False)
    sync.store_volumes(shelf, [], [], looked_at)
    assert Volume.objects.get().missing_since is None


def test_asked_at_once_by_an_operation(tmp_path: Path) -> None:
    host = simulated(tmp_path, 0)
    sync.refresh_pools(host)
    pool = Pool.objects.get()
    sync.refresh_pool(pool, host, rescan=True)
    cell = PoolOnHost.objects.get()
    assert (cell.pool.name, cell.is_active, cell.pool.is_shared) == ("images", True, False)
    assert cell.capacity_bytes
