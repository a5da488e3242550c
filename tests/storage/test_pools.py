"""Defining pools on hosts, a truthful result per host, and taking them away again."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from access.models import User
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage import sync
from storage.models import Pool, PoolOnHost
from storage.operations.pools import (
    PlacePool,
    RefreshPool,
    RemovePool,
    SetPoolAutostart,
    StartPool,
    StopPool,
    begin_pool,
)
from tests.factories import make_host, make_pool, make_vm
from tests.storage.conftest import Do, finish, make_image
from virt import pools
from virt.connection import connect
from virt.xml.pool import PoolSpec, build

pytestmark = pytest.mark.django_db
FOLDER: dict[str, Any] = {"name": "disks", "kind": "dir", "target_path": "/srv/disks"}
Make = Callable[..., Host]


@pytest.fixture
def pair(simulated: Make, do: Do) -> list[Host]:
    return [simulated("alpha"), simulated("beta")]


def there(host: Host, name: str = "disks") -> pools.PoolFacts | None:
    with connect(host.target) as conn:
        return pools.find(conn, name)


def test_it_works(pair: list[Host], admin: User) -> None:
    job = finish(begin_pool(admin, FOLDER, pair))
    assert job.state == "succeeded"
    assert job.title == "Define pool disks on 2 hosts"
    assert [part.title for part in job.children.order_by("id")] == [
        "Define pool disks on alpha",
        "Define pool disks on beta",
    ]
    pool = Pool.objects.get()
    for host in pair:
        facts = there(host)
        assert facts is not None
        assert (facts.uuid, facts.is_active, facts.autostart) == (str(pool.uuid), True, True)
        cell = pool.presences.get(host=host)
        assert cell.is_usable
        assert cell.seen_at
        assert cell.capacity_bytes
    command = job.children.earliest("id").commands[0]
    assert command.startswith("virsh -c test:///")
    assert "pool-define-as disks dir --target /srv/disks" in command


def test_one_host_fails_and_is_tried_again(pair: list[Host], admin: User, do: Do) -> None:
    with connect(pair[1].target) as conn:
        pools.define(conn, build(PoolSpec("disks", "dir", "/elsewhere")))
    job = finish(begin_pool(admin, FOLDER, pair))
    assert job.state == "failed"
    assert "1 of 2" in job.error
    pool = Pool.objects.get()
    assert pool.presences.get(host=pair[0]).is_usable
    cell = pool.presences.get(host=pair[1])
    assert "another pool called “disks” (dir:/elsewhere)" in cell.failure
    assert not cell.is_usable
    with connect(pair[1].target) as conn:
        pools.undefine(conn, "disks")
    assert do(PlacePool(pool, {"hosts": [pair[1].pk]}), admin).state == "succeeded"
    cell.refresh_from_db()
    assert cell.is_usable
    assert cell.failure == ""


def test_a_host_that_is_down_says_so(simulated: Make, admin: User, do: Do) -> None:
    good, gone = simulated("alpha"), simulated("beta")
    Host.objects.filter(pk=gone.pk).update(path="/nowhere/at-all.xml")
    job = finish(begin_pool(admin, FOLDER, [good, Host.objects.get(pk=gone.pk)]))
    assert job.state == "failed"
    assert there(good)
    assert PoolOnHost.objects.get(host=gone).failure


def test_what_was_there_with_the_same_source_stays(pair: list[Host], admin: User) -> None:
    with connect(pair[0].target) as conn:
        uuid = pools.define(conn, build(PoolSpec("disks", "dir", "/srv/disks")))
    job = finish(begin_pool(admin, FOLDER, pair))
    assert job.state == "succeeded"
    facts = there(pair[0])
    assert facts is not None
    assert facts.uuid == uuid
    assert facts.is_active


def test_the_same_run_twice_changes_nothing(folder: Pool, do: Do, admin: User) -> None:
    host = Host.objects.get()
    before = there(host)
    assert do(PlacePool(folder, {"hosts": [host.pk]}), admin).state == "succeeded"
    assert there(host) == before


def test_stop_start_refresh_autostart(folder: Pool, do: Do, admin: User) -> None:
    host = Host.objects.get()
    cell = PoolOnHost.objects.get()
    for operation, active, autostart in (
        (StopPool, False, True),
        (StartPool, True, True),
        (RefreshPool, True, True),
    ):
        assert do(operation(folder, {"hosts": [host.pk]}), admin).state == "succeeded"
        cell.refresh_from_db()
        assert (cell.is_active, cell.autostart) == (active, autostart)
    assert do(SetPoolAutostart(folder, {"hosts": [host.pk], "on": False}), admin).state == "succeeded"
    cell.refresh_from_db()
    folder.refresh_from_db()
    assert (cell.autostart, folder.autostart) == (False, False)


def test_remove_from_one_host_and_then_from_all(pair: list[Host], admin: User, do: Do) -> None:
    finish(begin_pool(admin, FOLDER, pair))
    pool = Pool.objects.get()
    assert do(RemovePool(pool, {"hosts": [pair[0].pk]}), admin).state == "succeeded"
    assert there(pair[0]) is None
    assert there(pair[1])
    assert pool.presences.count() == 1
    assert do(RemovePool(pool, {"forget": True}), admin).state == "succeeded"
    assert there(pair[1]) is None
    assert not Pool.objects.exists()


def test_not_removed_while_in_use(folder: Pool, do: Do, admin: User) -> None:
    host = Host.objects.get()
    make_vm(host, "web-07", pool=folder)
    folder.volumes.create(host=host, name="web-07.qcow2", path="/srv/disks/web-07.qcow2")
    make_image(folder, host=host)
    for operation in (RemovePool(folder, {"hosts": [host.pk]}), StopPool(folder, {"hosts": [host.pk]})):
        with pytest.raises(Refused, match="debian-12 1, web-07"):
            enqueue(operation, user=admin)
    with pytest.raises(Refused, match="debian-12 1, web-07"):
        enqueue(RemovePool(folder, {"forget": True}), user=admin)
    assert there(host)


def test_twins_are_refused(folder: Pool, admin: User) -> None:
    host = Host.objects.get()
    with pytest.raises(Refused) as refused:
        begin_pool(admin, FOLDER | {"target_path": "/srv/other"}, [host])
    assert refused.value.field == "name"
    with pytest.raises(Refused, match="disks") as refused:
        begin_pool(admin, FOLDER | {"name": "other"}, [host])
    assert refused.value.field == "target_path"
    nfs = {"kind": "nfs", "source": {"host": "nas", "path": "/vms"}}
    begin_pool(admin, {"name": "one", "target_path": "/srv/one", **nfs}, [host])
    with pytest.raises(Refused, match="one") as refused:
        begin_pool(admin, {"name": "two", "target_path": "/srv/two", **nfs}, [host])
    assert refused.value.field == "path"
    assert Pool.objects.count() == 2


def test_an_adopted_pool_can_be_given_to_more_hosts(pair: list[Host], admin: User, do: Do) -> None:
    with connect(pair[0].target) as conn:
        pools.define(conn, build(PoolSpec("default", "dir", "/var/lib/libvirt/images")))
        pools.start(conn, "default")
    sync.refresh_pools(pair[0])
    pool = Pool.objects.get()
    assert pool.is_adopted
    assert do(PlacePool(pool, {"hosts": [pair[1].pk]}), admin).state == "succeeded"
    facts = there(pair[1], "default")
    assert facts is not None
    assert "/var/lib/libvirt/images" in facts.xml


def test_strangers_and_viewers(client: Client, operator: User, lab_user: User) -> None:
    pool = make_pool("vms", make_host())
    add, page = reverse("storage:add_pool"), pool.get_absolute_url()
    assert client.get(page).status_code == 302
    client.force_login(lab_user)
    assert client.get(page).status_code == 404
    client.force_login(operator)
    assert client.get(page).status_code == 200
    assert client.get(add).status_code == 403
    assert client.post(add, {"name": "x"}).status_code == 403
    assert not Job.objects.exists()


BAD_NAMES = ["", "a b", "../x", "<b>", "a;reboot", "$(id)", "x" * 300, "🐧", "a'b\"", "12345"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_hostile_names_are_refused_beside_the_field(admin_client: Client, name: str) -> None:
    host = make_host()
    answer = admin_client.post(reverse("storage:add_pool"), {"kind": "dir", "name": name, "hosts": [host.pk]})
    assert answer.status_code == 422
    assert answer.context["form"].errors.keys() == {"name"}
    assert not Pool.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "nas -o suid"),
        ("host", "nas;id"),
        ("path", "relative"),
        ("path", "/a/../etc"),
        ("path", "/a\nb"),
        ("version", "5"),
        ("target_path", "/etc"),
        ("target_path", "/usr/lib/x"),
        ("target_path", "/"),
        ("target_path", "x"),
        ("hosts", "999"),
        ("hosts", ""),
    ],
)
def test_hostile_sources_are_refused_beside_the_field(admin_client: Client, field: str, value: str) -> None:
    host = make_host()
    data = {"kind": "nfs", "name": "vms", "host": "nas", "path": "/vms", "hosts": [host.pk], field: value}
    answer = admin_client.post(reverse("storage:add_pool"), data)
    assert answer.status_code == 422
    form = answer.context["form"]
    assert set(form.errors) | set(form.source_form.errors) == {field}


def test_the_dialog_defines_a_pool(admin_client: Client) -> None:
    host = make_host()
    data = {"kind": "nfs", "name": "vms", "host": "nas", "path": "/vms", "version": "4.2", "hosts": [host.pk]}
    answer = admin_client.post(reverse("storage:add_pool"), data)
    job = Job.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == job.get_absolute_url()
    pool = Pool.objects.get()
    assert (pool.source, pool.target_path) == (
        {"host": "nas", "path": "/vms", "version": "4.2"},
        "/var/lib/libvirt/drover/vms",
    )
    assert pool.is_shared
    assert job.params == {"hosts": [host.pk]}


def test_choosing_another_kind_keeps_what_was_typed(admin_client: Client) -> None:
    host = make_host()
    typed: dict[str, Any] = {
        "kind": "glusterfs",
        "name": "vms",
        "target_path": "/srv/x",
        "hosts": [host.pk],
        "autostart": "on",
    }
    answer = admin_client.get(reverse("storage:add_pool"), typed)
    form = answer.context["form"]
    assert "host" in form.source_form.fields
    assert (form["name"].value(), form["target_path"].value()) == ("vms", "/srv/x")
