"""Deleting and forgetting: what goes, what never goes."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from access.models import Role, User
from hosts.models import Host
from jobs import work
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage.models import Image, Pool, Volume
from tests.factories import make_group, make_host, make_user, make_vm, note_files
from virt import guests, pools
from virt.connection import connect
from virt.xml.volume import VolumeSpec
from vms.disks import disks_of
from vms.models import Presence, Vm
from vms.operations.delete import DeleteVm, ForgetVm
from vms.states import VmState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
MakeVm = Callable[..., Vm]
Do = Callable[..., Job]
MIB = 1024 * 1024


@pytest.fixture
def vm(a_vm: MakeVm, host: Host, pool: Pool) -> Vm:
    """A VM that is off, with two disks in the simulated host's pool."""
    vm = a_vm(running=False)
    disks = []
    for target in ("vda", "vdb"):
        name = f"{vm.uuid}-{target}.raw"
        with connect(host.target) as conn:
            path = pools.create_volume(conn, pool.name, VolumeSpec(name, MIB, format="raw"))
        Volume.objects.create(pool=pool, host=host, name=name, path=path, format="raw")
        disks.append({"device": "disk", "target": target, "path": path, "capacity_bytes": MIB})
    Vm.objects.filter(pk=vm.pk).update(hardware={**vm.hardware, "disks": disks})
    vm.refresh_from_db()
    note_files(vm)
    return vm


def there(host: Host, pool: Pool, disk: dict[str, Any]) -> bool:
    with connect(host.target) as conn:
        return pools.find_volume(conn, pool.name, disk["path"].rpartition("/")[2]) is not None


def test_it_works(vm: Vm, host: Host, pool: Pool, do: Do) -> None:
    """Only the disk that was named goes."""
    first, second = vm.disks
    uuid = str(vm.uuid)
    job = do(DeleteVm(vm, {"disks": [first["path"]]}))
    assert (job.state, job.result["removed"]) == ("succeeded", [first["path"]])
    assert not Vm.objects.filter(uuid=uuid).exists()
    with connect(host.target) as conn:
        assert guests.state_of(conn, uuid) is None
    assert (there(host, pool, first), there(host, pool, second)) == (False, True)
    assert Volume.objects.filter(path=second["path"]).exists()


def test_the_dialog(vm: Vm, client: Client, admin: User) -> None:
    """A group's manager is asked which disks, and not told where they are; the chosen one is what goes."""
    tina = make_user("tina", Role.USER)
    vm.group = make_group("Networks", manager=tina)
    vm.save()
    url, paths = f"/vms/{vm.uuid}/delete", [disk["path"] for disk in vm.disks]
    client.force_login(admin)
    assert paths[0] in client.get(url).content.decode()
    client.force_login(tina)
    dialog = client.get(url).content.decode()
    assert "vda · 1" in dialog
    assert not [path for path in paths if path.rpartition("/")[0] in dialog]
    assert client.post(url, {"disks": ["vdx"], "typed": vm.name}).status_code == 422
    client.post(url, {"disks": ["vdb"], "typed": vm.name})
    assert Job.objects.get().params["disks"] == [paths[1]]


def test_a_disk_that_stays_is_named_and_the_vm_is_gone(vm: Vm, admin: User) -> None:
    """Its pool has forgotten it meanwhile: there is nothing left to delete but the file, which the job names."""
    path, uuid = vm.disks[0]["path"], vm.uuid
    job = enqueue(DeleteVm(vm, {"disks": [path]}), user=admin)
    Volume.objects.filter(path=path).delete()
    work.run(job.pk)
    job.refresh_from_db()
    assert job.state == "failed"
    assert path in job.error
    assert not Vm.objects.filter(uuid=uuid).exists()


def test_own_disks(vm: Vm, host: Host, pool: Pool, do: Do) -> None:
    assert len(do(DeleteVm(vm, {"disks": "own"})).result["removed"]) == 2


def test_no_disks(vm: Vm, host: Host, pool: Pool, do: Do) -> None:
    assert do(DeleteVm(vm)).result["removed"] == []
    assert there(host, pool, vm.disks[0])


def test_running(a_vm: MakeVm, admin: User) -> None:
    with pytest.raises(Refused, match="shut it down"):
        enqueue(DeleteVm(a_vm()), user=admin)


@pytest.mark.parametrize("disks", [["/etc/passwd"], ["../x"], "all", [1], {"a": 1}])
def test_disks_that_are_not_its(vm: Vm, admin: User, disks: Any) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(DeleteVm(vm, {"disks": disks}), user=admin)
    assert refused.value.field == "disks"


class TestWhatStays:
    def test_an_image(self, vm: Vm, pool: Pool, host: Host, admin: User) -> None:
        path = vm.disks[0]["path"]
        Image.objects.create(
            name="debian", version="1", pool=pool, host=host, volume_name="x", path=path, state="ready"
        )
        assert disks_of(vm)[0].reason == "It is the image debian 1."
        with pytest.raises(Refused, match="image"):
            enqueue(DeleteVm(vm, {"disks": [path]}), user=admin)

    def test_a_backing_file(self, vm: Vm, pool: Pool, host: Host) -> None:
        path = vm.disks[0]["path"]
        Volume.objects.create(pool=pool, host=host, name="overlay", path="/default-pool/overlay", backing_path=path)
        assert disks_of(vm)[0].reason == "Other disks stand on it."

    def test_another_vms_disk(self, vm: Vm, host: Host, do: Do, pool: Pool, admin: User, lab_user: User) -> None:
        other = make_vm(host, "db-01")
        disk = {"device": "disk", "target": "vda", "path": "/x", "backing": [vm.disks[1]["path"]]}
        other.hardware = {"disks": [disk]}
        note_files(other)
        assert disks_of(vm, admin)[1].reason == "db-01 uses it too."
        assert disks_of(vm, lab_user)[1].reason == "Another VM uses it too."
        assert do(DeleteVm(vm, {"disks": "own"})).result["removed"] == [vm.disks[0]["path"]]

    def test_a_file_of_no_pool(self, host: Host) -> None:
        assert disks_of(make_vm(host))[0].reason == "It is in no pool that Drover knows."


def test_its_seed_goes_with_it(vm: Vm, host: Host, pool: Pool, do: Do) -> None:
    seed = vm.disks[1]["path"]
    Vm.objects.filter(pk=vm.pk).update(first_boot={"seed_path": seed}, hardware={**vm.hardware, "disks": [vm.disks[0]]})
    vm.refresh_from_db()
    assert do(DeleteVm(vm)).result["removed"] == [seed]


def test_other_host_holds_it_and_is_silent(vm: Vm, do: Do) -> None:
    other = make_host("vmhost2", observed_state="unreachable")
    Presence.objects.create(vm=vm, host=other, observed_state=VmState.OFF)
    job = do(DeleteVm(vm))
    assert job.state == "failed"
    assert "vmhost2" in job.error
    assert Vm.objects.filter(pk=vm.pk).exists()


def test_volume_that_cannot_be_removed(vm: Vm, host: Host, pool: Pool, do: Do) -> None:
    """Gone behind our back is fine; another reason is told, with the path that is left."""
    with connect(host.target) as conn:
        pools.delete_volume(conn, pool.name, vm.disks[0]["path"].rpartition("/")[2])
    assert do(DeleteVm(vm, {"disks": "own"})).state == "succeeded"


class TestForget:
    def test_missing(self, host: Host, do: Do) -> None:
        vm = make_vm(host)
        Vm.objects.filter(pk=vm.pk).update(missing_since=vm.seen_at)
        vm.refresh_from_db()
        assert do(ForgetVm(vm)).state == "succeeded"
        assert not Vm.objects.exists()

    def test_not_missing(self, host: Host, admin: User) -> None:
        with pytest.raises(Refused, match="vmhost1 holds it"):
            enqueue(ForgetVm(make_vm(host)), user=admin)

    def test_creation_that_failed(self, host: Host, do: Do) -> None:
        vm = Vm.objects.create(uuid=uuid4(), name="x", host=host, observed_state=VmState.CREATING)
        assert do(ForgetVm(vm)).state == "succeeded"
