"""Snapshots and rebuilding of real VMs: what the guest had on its disk and in its memory comes back, or is gone."""

import pytest

from access.models import User
from hosts.models import Host
from jobs import engine
from storage.models import Pool, Volume
from tests.labkit import Lab
from tests.vms.test_lab_vms import ask_guest, do, files, finish, fresh, hosts, image, pool, until, virsh, wish
from virt import guests
from virt.connection import connect
from virt.xml import update
from vms import creation
from vms.migration import MigrateVm
from vms.models import Vm
from vms.operations.change import RenameVm, ResizeDisk
from vms.operations.delete import DeleteVm
from vms.operations.power import ForceOffVm
from vms.operations.rebuild import RebuildVm
from vms.operations.snapshots import DeleteSnapshot, RevertSnapshot, TakeSnapshot
from vms.spec import NewVms, NicWish
from vms.states import VmState

__all__ = ["hosts", "image", "pool", "wish"]
pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("here")]
MIB = 1024 * 1024


def made(lab: Lab, admin: User, wish: NewVms, octet: int) -> tuple[Vm, str]:
    """A running VM whose guest is up, and its host."""
    subnet = lab.facts["subnet"].rpartition(".")[0]
    wish.nics = [NicWish(bridge="br0", address=f"{subnet}.{octet}/24")]
    job = finish(creation.request(admin, wish))
    assert job.state == "succeeded", job.technical
    vm = Vm.objects.get(uuid=job.target_key)
    assert vm.host is not None
    until(lambda: wish.name in ask_guest(lab, str(vm.host), wish.name, "hostname"), "its host name")
    return fresh(vm), vm.host.name


def mark(lab: Lab, host: str, vm: Vm, text: str) -> None:
    """Into its memory, and in no disk; as soon as its shell listens."""

    def is_there() -> bool:
        ask_guest(lab, host, vm.name, f"hostname {text}")
        return marked(lab, host, vm, text)

    until(is_there, "its shell")


def marked(lab: Lab, host: str, vm: Vm, text: str) -> bool:
    """The line after what was typed."""
    return text in [line.strip() for line in ask_guest(lab, host, vm.name, "hostname").splitlines()]


def test_snapshots(lab: Lab, admin: User, pool: Pool, wish: NewVms, hosts: list[Host]) -> None:
    vm, where = made(lab, admin, wish, 89)
    mark(lab, where, vm, "before")
    job = do(admin, TakeSnapshot(vm, {"name": "clean", "description": "as it was"}))
    assert job.commands[0].endswith(f"snapshot-create-as {vm.name} clean --description 'as it was'")
    assert "clean" in virsh(lab, where, "snapshot-list", vm.name)
    one = fresh(vm).snapshots.get()
    assert (one.name, one.has_memory, one.is_current) == ("clean", True, True)
    mark(lab, where, vm, "after")

    moved = next(host for host in hosts if host.name != where)
    with pytest.raises(Exception, match="has 1 snapshot"):
        engine.enqueue(MigrateVm(fresh(vm), {"host": moved.pk, "mode": "live"}), user=admin)
    said = lab.ssh(where, f"virsh migrate --live {vm.name} qemu+ssh://{moved.name}/system 2>&1", check=False)
    assert "snapshot" in said or "verification" in said, said  # libvirt itself refuses it, if the hosts know each other

    do(admin, ResizeDisk(fresh(vm), {"target": "vda", "size_bytes": 200 * MIB}))
    do(admin, RevertSnapshot(fresh(vm), {"name": "clean"}))
    until(lambda: marked(lab, where, vm, "before"), "its memory of then")
    assert fresh(vm).state == VmState.RUNNING

    do(admin, ResizeDisk(fresh(vm), {"target": "vda", "size_bytes": 220 * MIB}))
    do(admin, ForceOffVm(fresh(vm)))
    do(admin, TakeSnapshot(fresh(vm), {"name": "off"}))
    do(admin, RenameVm(fresh(vm), {"name": f"{wish.name}-b"}))
    do(admin, RevertSnapshot(fresh(vm), {"name": "clean"}))
    assert (fresh(vm).name, fresh(vm).state) == (f"{wish.name}-b", VmState.RUNNING)
    do(admin, RevertSnapshot(fresh(vm), {"name": "off"}))
    assert fresh(vm).state == VmState.OFF
    do(admin, DeleteSnapshot(fresh(vm), {"name": "clean"}))
    assert [str(left) for left in fresh(vm).snapshots.all()] == ["off"]
    before = files(lab)
    do(admin, DeleteVm(fresh(vm), {"disks": "own"}))
    assert not virsh(lab, where, "snapshot-list", str(vm.uuid)).startswith(" Name")
    assert len(before - files(lab)) == 2


def test_rebuild(lab: Lab, admin: User, pool: Pool, wish: NewVms) -> None:
    before = files(lab)
    vm, where = made(lab, admin, wish, 90)
    old, macs = vm.disks[0]["path"], virsh(lab, where, "domiflist", vm.name).split()[-1]
    mark(lab, where, vm, "mine")
    ask_guest(lab, where, vm.name, "mkdir /mine")
    assert "mine" in ask_guest(lab, where, vm.name, "ls /")
    do(admin, TakeSnapshot(vm, {"name": "clean"}))
    job = do(admin, RebuildVm(fresh(vm)))
    assert job.state == "succeeded"
    vm = fresh(vm)
    new = vm.disks[0]["path"]
    assert (vm.state, vm.snapshots.count()) == (VmState.RUNNING, 0)
    assert new != old
    assert old.rpartition("/")[2] not in files(lab)
    assert not Volume.objects.filter(path=old).exists()
    assert len(files(lab) - before) == 2, "its disk and its seed"
    assert virsh(lab, where, "domiflist", vm.name).split()[-1] == macs
    until(lambda: wish.name in ask_guest(lab, where, wish.name, "hostname"), "its first boot")
    until(lambda: "etc" in ask_guest(lab, where, vm.name, "ls /"), "its shell")
    assert "mine" not in ask_guest(lab, where, vm.name, "ls /")

    do(admin, ForceOffVm(fresh(vm)))
    do(admin, RebuildVm(fresh(vm)))
    assert (fresh(vm).state, len(files(lab) - before)) == (VmState.OFF, 2), "what was off stays off"
    do(admin, DeleteVm(fresh(vm), {"disks": "own"}))
    assert files(lab) == before


def test_a_rebuild_that_fails_leaves_it_as_it_was(lab: Lab, admin: User, pool: Pool, wish: NewVms) -> None:
    """Its image was taken away behind Drover's back; then its bridge, so that it can't be started with the new disk."""
    before = files(lab)
    vm, where = made(lab, admin, wish, 92)
    old = vm.disks[0]["path"]
    mine = files(lab)
    assert vm.image is not None
    lab.ssh(where, f"mv {vm.image.path} {vm.image.path}.away")
    job = finish(engine.enqueue(RebuildVm(vm), user=admin))
    lab.ssh(where, f"mv {vm.image.path}.away {vm.image.path}")
    assert job.state == "failed"
    assert (fresh(vm).state, fresh(vm).disks[0]["path"]) == (VmState.RUNNING, old)
    assert virsh(lab, where, "domstate", vm.name) == "running"
    assert files(lab) == mine

    with connect(vm.host.target) as conn:  # type: ignore[union-attr]
        xml = guests.definition(conn, str(vm.uuid))
        mac = vm.nics[0]["mac"]
        guests.define(conn, update.set_nic_source(xml, mac, bridge="br99"))
    job = finish(engine.enqueue(RebuildVm(fresh(vm)), user=admin))
    assert job.state == "failed"
    assert "br99" in job.technical
    assert fresh(vm).disks[0]["path"] == old
    assert files(lab) == mine, "nothing new is left, nothing old is gone"
    assert virsh(lab, where, "domblklist", vm.name).count(old) == 1
    if fresh(vm).is_alive:
        do(admin, ForceOffVm(fresh(vm)))
    do(admin, DeleteVm(fresh(vm), {"disks": "own"}))
    assert files(lab) == before
