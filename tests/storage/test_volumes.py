"""Volumes: create, grow, copy, delete; nothing that is in use is touched."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from access.models import User
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Failed, Refused
from jobs.models import Job
from jobs.run import Run
from storage import volumes
from storage.models import Pool, Volume
from storage.operations.volumes import CloneVolume, CreateVolume, DeleteVolume, ResizeVolume
from tests.factories import make_host, make_pool, make_vm, note_files
from tests.storage.conftest import Do
from virt.errors import AlreadyExists

pytestmark = pytest.mark.django_db
MIB = 1024**2
GIB = 1024**3


@pytest.fixture
def host(folder: Pool) -> Host:
    return Host.objects.get()


def params(**more: Any) -> dict[str, Any]:
    return {"name": "data.qcow2", "format": "qcow2", "size_bytes": 64 * MIB, **more}


@pytest.fixture
def volume(folder: Pool, host: Host, do: Do, admin: User) -> Volume:
    assert do(CreateVolume(folder, params(host=host.pk)), admin).state == "succeeded"
    return Volume.objects.get(name="data.qcow2")


def test_it_works(folder: Pool, host: Host, volume: Volume) -> None:
    assert volume.path == "/srv/disks/data.qcow2"
    assert (volume.format, volume.capacity_bytes, volume.host) == ("qcow2", 64 * MIB, host)
    assert volumes.volume_exists(folder, host, "data.qcow2")


def test_copy_and_delete(folder: Pool, host: Host, volume: Volume, do: Do, admin: User) -> None:
    assert do(CloneVolume(volume, {"name": "copy.qcow2"}), admin).state == "succeeded"
    assert volumes.volume_exists(folder, host, "copy.qcow2")
    assert do(DeleteVolume(volume), admin).state == "succeeded"
    assert not volumes.volume_exists(folder, host, "data.qcow2")
    assert list(Volume.objects.values_list("name", flat=True)) == ["copy.qcow2"]


@pytest.mark.parametrize("size", [0, -1, 1000, 10**18, 2**63])
def test_sizes_that_cannot_be(folder: Pool, host: Host, admin: User, size: int) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(CreateVolume(folder, params(host=host.pk, size_bytes=size)), user=admin)
    assert refused.value.field == "size"


@pytest.mark.parametrize("size", ["0", "-5", "1e18", "x", "", "NaN", "Infinity", "9" * 40])
def test_sizes_in_the_form(admin_client: Client, size: str) -> None:
    host = make_host()
    pool = make_pool("vms", host, source={"host": "g", "path": "v"})
    url = reverse("storage:add_volume", args=[pool.pk])
    answer = admin_client.post(url, {"name": "a", "format": "raw", "size": size})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"size"}
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a,b", "a;id", "<b>", ".hidden", "x" * 300, "🐧", "a\nb"])
def test_hostile_names(folder: Pool, host: Host, admin: User, name: str) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(CreateVolume(folder, params(host=host.pk, name=name)), user=admin)
    assert refused.value.field == "name"


def test_a_name_that_is_taken(folder: Pool, host: Host, volume: Volume, do: Do, admin: User) -> None:
    with pytest.raises(Refused, match="already") as refused:
        enqueue(CreateVolume(folder, params(host=host.pk)), user=admin)
    assert refused.value.field == "name"
    Volume.objects.all().delete()  # made behind our back: only the host knows it
    job = do(CreateVolume(folder, params(host=host.pk)), admin)
    assert job.state == "failed"
    assert "exists already" in job.error


def test_a_thick_volume_must_fit(folder: Pool, host: Host, admin: User) -> None:
    folder.presences.update(available_bytes=GIB)
    with pytest.raises(Refused, match="room") as refused:
        enqueue(CreateVolume(folder, params(host=host.pk, size_bytes=2 * GIB, format="raw", full=True)), user=admin)
    assert refused.value.field == "size"


def test_smaller_is_refused(volume: Volume, admin: User) -> None:
    with pytest.raises(Refused, match="only grow"):
        enqueue(ResizeVolume(volume, {"size_bytes": 32 * MIB}), user=admin)


def test_users_are_named(volume: Volume, host: Host, admin: User, do: Do) -> None:
    vm = make_vm(host, "web-07")
    vm.hardware["disks"][0]["path"] = volume.path
    vm.save()
    note_files(vm)
    for operation in (
        DeleteVolume(volume),
        ResizeVolume(volume, {"size_bytes": GIB}),
        CloneVolume(volume, {"name": "b"}),
    ):
        with pytest.raises(Refused, match="web-07"):
            enqueue(operation, user=admin)
    vm.delete()
    Volume.objects.create(pool=volume.pool, host=host, name="top.qcow2", path="/srv/top", backing_path=volume.path)
    with pytest.raises(Refused, match="disks/top.qcow2"):
        enqueue(DeleteVolume(volume), user=admin)


def test_the_same_path_on_another_host_is_another_file(volume: Volume, admin: User, do: Do) -> None:
    vm = make_vm(make_host("elsewhere"), "web-07")
    vm.hardware["disks"][0]["path"] = volume.path
    vm.save()
    note_files(vm)
    assert do(DeleteVolume(volume), admin).state == "succeeded"


def test_a_pool_without_a_host_that_answers(admin: User) -> None:
    host = make_host(observed_state="unreachable")
    pool = make_pool("vms", host)
    with pytest.raises(Refused, match="not active on a host that answers"):
        enqueue(CreateVolume(pool, params()), user=admin)


def run_of(admin: User, attempt: int = 1) -> Run:
    return Run(Job.objects.create(operation="x", title="x", user=admin, attempt=attempt))


def test_create_blank_for_other_rooms(folder: Pool, host: Host, admin: User) -> None:
    path = volumes.create_blank(run_of(admin), folder, host, "web.qcow2", 64 * MIB)
    assert path == "/srv/disks/web.qcow2"
    assert Volume.objects.get(name="web.qcow2").capacity_bytes == 64 * MIB
    with pytest.raises(AlreadyExists):
        volumes.create_blank(run_of(admin), folder, host, "web.qcow2", 64 * MIB)
    again = run_of(admin, attempt=2)
    assert volumes.create_blank(again, folder, host, "web.qcow2", 64 * MIB) == path
    assert volumes.delete_volume(folder, host, "web.qcow2")
    assert not volumes.delete_volume(folder, host, "web.qcow2")


def test_other_rooms_are_refused_too(folder: Pool, host: Host, admin: User) -> None:
    for name, size in (("../x", MIB), ("x", 0), ("x", 10**18)):
        with pytest.raises(Failed):
            volumes.create_blank(run_of(admin), folder, host, name, size)


def test_pools_and_hosts_for_placement(folder: Pool, host: Host) -> None:
    assert list(volumes.usable_pools(host)) == [folder]
    assert list(volumes.hosts_with_pool(folder)) == [host]
    folder.presences.update(error="The storage does not answer.")
    assert not volumes.usable_pools(host).exists()
    assert not volumes.hosts_with_pool(folder).exists()


def test_locate(volume: Volume, host: Host) -> None:
    assert volumes.locate(host, volume.path) == volume
    assert volumes.locate(make_host("other"), volume.path) is None


def test_the_list(admin_client: Client, volume: Volume, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        Volume.objects.create(pool=volume.pool, host=volume.host, name=f"disk{number:03}", path=f"/srv/disks/{number}")
    url = reverse("storage:volumes", args=[volume.pool_id])
    with django_assert_max_num_queries(14):
        text = admin_client.get(url).content.decode()
    assert "data.qcow2" in text
    assert "disk059" not in text
    assert "disk059" in admin_client.get(url + "?q=059").content.decode()
    assert "disk059" in admin_client.get(url + "?page=6").content.decode()


def test_dialogs(admin_client: Client, operator: User, volume: Volume, client: Client) -> None:
    for name in ("resize_volume", "copy_volume", "delete_volume"):
        url = reverse(f"storage:{name}", args=[volume.pk])
        assert admin_client.get(url).status_code == 200
    copied = admin_client.post(reverse("storage:copy_volume", args=[volume.pk]), {"name": "data.qcow2"})
    assert copied.status_code == 422
    assert copied.context["form"].errors["name"]
    assert admin_client.post(reverse("storage:delete_volume", args=[volume.pk])).status_code == 302
    client = Client()
    client.force_login(operator)
    assert client.post(reverse("storage:delete_volume", args=[volume.pk])).status_code == 403
