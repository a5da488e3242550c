"""Snapshots and rebuilding, on libvirt's test driver; what only real disks show is in test_own_place_lab."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import Role, User
from hosts.models import Host
from jobs.models import Job
from jobs.states import State
from storage.models import Image, ImageState, Pool
from tests.factories import give, make_host, make_user, make_vm
from tests.vms.conftest import Runner
from virt import guests, snapshots
from virt.connection import connect
from virt.xml import snapshot as snapshot_xml
from vms import sync
from vms.destinations import destinations
from vms.models import Snapshot, Vm
from vms.operations.rebuild import RebuildVm
from vms.operations.snapshots import DeleteSnapshot, RevertSnapshot, TakeSnapshot
from vms.snapshots import why_none
from vms.states import VmState

DISK = {"target": "vda", "device": "disk", "format": "qcow2", "path": "/default-pool/web-07.qcow2"}


@pytest.fixture
def vm(a_vm: Callable[..., Vm], lab_user: User, monkeypatch: pytest.MonkeyPatch) -> Vm:
    """The test driver's VMs have no disk: whether theirs can keep a snapshot is asked elsewhere."""
    monkeypatch.setattr("vms.operations.snapshots.why_none", lambda vm: None)
    return a_vm(owner=lab_user)


def test_it_works(vm: Vm, host: Host, do: Runner, lab_user: User) -> None:
    vm.title = "shop"
    vm.save(update_fields=["title"])
    job = do(TakeSnapshot(vm, {"name": "before the update", "description": "all is well"}), user=lab_user)
    assert job.state == State.SUCCEEDED, job.technical
    assert "snapshot-create-as web-07 'before the update' --description 'all is well'" in job.commands[0]
    taken = Snapshot.objects.get()
    assert (taken.name, taken.description, taken.has_memory) == ("before the update", "all is well", True)
    assert (taken.made_by, taken.is_current, taken.vcpus) == (lab_user, True, 1)
    with connect(host.target) as conn:
        guests.destroy(conn, str(vm.uuid))
    sync.refresh_vm(host, str(vm.uuid))
    vm.refresh_from_db()
    job = do(RevertSnapshot(vm, {"name": taken.name}), user=lab_user)
    assert job.state == State.SUCCEEDED, job.technical
    vm.refresh_from_db()
    assert (vm.state, vm.title) == (VmState.RUNNING, "shop")
    job = do(DeleteSnapshot(vm, {"name": taken.name}), user=lab_user)
    assert job.state == State.SUCCEEDED, job.technical
    assert not Snapshot.objects.exists()
    with connect(host.target) as conn:
        assert not snapshots.exists(conn, str(vm.uuid), taken.name)


def test_what_was_made_by_hand_is_seen_and_what_was_removed_goes(vm: Vm, host: Host) -> None:
    with connect(host.target) as conn:
        snapshots.take(conn, str(vm.uuid), "by-hand")
    sync.refresh_vm(host, str(vm.uuid))
    assert [str(one) for one in vm.snapshots.all()] == ["by-hand"]
    with connect(host.target) as conn:
        snapshots.delete(conn, str(vm.uuid), "by-hand")
    sync.refresh_vm(host, str(vm.uuid))
    assert not vm.snapshots.exists()


@pytest.mark.parametrize("name", ["", "a/b", "12", "-x", "../x", "x" * 61, "a\nb", "x "])
def test_bad_names(vm: Vm, client: Client, lab_user: User, name: str) -> None:
    client.force_login(lab_user)
    answer = client.post(reverse("vms:take_snapshot", args=[vm.uuid]), {"name": name})
    assert answer.status_code == (302 if name == "x " else 422)
    assert Job.objects.filter(params__name=name).count() == 0


def test_twice_the_same_name_is_refused(vm: Vm, client: Client, lab_user: User) -> None:
    Snapshot.objects.create(vm=vm, name="first", taken_at=timezone.now())
    client.force_login(lab_user)
    answer = client.post(reverse("vms:take_snapshot", args=[vm.uuid]), {"name": "first"})
    assert "It has a snapshot of this name already." in answer.content.decode()


@pytest.mark.parametrize(
    ("hardware", "why"),
    [
        ({"disks": [DISK]}, ""),
        ({"disks": [DISK], "firmware": "uefi"}, "UEFI"),
        ({"disks": [{**DISK, "format": "raw"}]}, "vda is raw"),
        ({"disks": []}, "no disk"),
    ],
)
def test_which_vms_can_have_them(db: None, hardware: dict[str, Any], why: str) -> None:
    vm = make_vm(make_host(), hardware=hardware)
    assert why in str(why_none(vm) or "")
    assert (why_none(vm) is None) == (why == "")


def test_a_vm_with_snapshots_goes_nowhere(db: None) -> None:
    vm = make_vm(make_host())
    make_host("vmhost2")
    Snapshot.objects.create(vm=vm, name="first", taken_at=timezone.now())
    blockers = destinations(vm, "live")[0].blockers
    assert "It has 1 snapshot, which can't move with it: delete it first." in blockers


def test_who_may(db: None, client: Client) -> None:
    """Whoever uses the VM; not who only looks at it, and nobody else knows of it."""
    owner, vm = make_user("owner"), make_vm(make_host())
    Vm.objects.filter(pk=vm.pk).update(owner=owner)
    one = Snapshot.objects.create(vm=vm, name="first", taken_at=timezone.now())
    for role, status in ((Role.USER, 200), ("console", 403), (Role.AUDITOR, 403), (None, 404)):
        person = make_user(f"p{role}")
        if role:
            give(person, role, vm)
        client.force_login(person)
        for name, args in (("take_snapshot", []), ("revert_snapshot", [one.pk]), ("delete_snapshot", [one.pk])):
            assert client.get(reverse(f"vms:{name}", args=[vm.uuid, *args])).status_code == status, (role, name)
    other = make_vm(vm.host, "other", owner=owner)
    client.force_login(owner)
    assert client.get(reverse("vms:revert_snapshot", args=[other.uuid, one.pk])).status_code == 404


def test_xml_says_all() -> None:
    xml = (
        "<domainsnapshot><name>s1</name><description>d</description><state>running</state>"
        "<creationTime>1795307233</creationTime><memory snapshot='internal'/><parent><name>s0</name></parent>"
        "<domain><vcpu current='1'>2</vcpu><currentMemory unit='KiB'>1024</currentMemory></domain></domainsnapshot>"
    )
    found = snapshot_xml.parse(xml, is_current=True)
    assert (found.name, found.description, found.has_memory, found.parent) == ("s1", "d", True, "s0")
    assert (found.vcpus, found.memory_bytes, found.is_current) == (1, 1024 * 1024, True)
    assert found.taken_at.timestamp() == 1795307233
    assert "<name>s1</name>" in snapshot_xml.build("s1")
    with pytest.raises(ValueError, match="Use letters"):
        snapshot_xml.build("<x>")


class TestRebuild:
    def test_only_what_was_made_from_an_image(self, db: None) -> None:
        assert "image it was made from" in str(RebuildVm.state_refusal(make_vm(make_host())))

    def test_the_name_must_be_typed(self, db: None, client: Client, admin_client: Client) -> None:
        vm = make_vm(make_host())
        answer = admin_client.post(reverse("vms:rebuild", args=[vm.uuid]), {"typed": "other"})
        assert (answer.status_code, Job.objects.count()) == (422, 0)

    def test_without_its_first_boot_settings_it_is_refused(self, host: Host, pool: Pool) -> None:
        image = Image.objects.create(
            name="tiny", version="1", pool=pool, volume_name="tiny.qcow2", state=ImageState.READY
        )
        vm = make_vm(host, pool=pool, image=image, first_boot={"user": "anna", "seed_path": "/default-pool/s.iso"})
        pool.volumes.create(host=host, name="web-07.qcow2", path=vm.disks[0]["path"])
        assert "first-boot settings" in str(RebuildVm.state_refusal(vm))
        Vm.objects.filter(pk=vm.pk).update(first_boot={})
        vm.refresh_from_db()
        assert RebuildVm.state_refusal(vm) is None
