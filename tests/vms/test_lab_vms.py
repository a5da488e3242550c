"""The life of real VMs on the lab's hosts: made, powered, changed, deleted; and what is left after faults."""

import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from access.models import User
from hosts import sync as hosts_sync
from hosts.models import Host
from hosts.states import HostState
from jobs import care, engine, work
from jobs.models import Job
from jobs.operations import Operation, by_name
from storage import sync as storage_sync
from storage.models import Image, Pool, PoolOnHost, Volume
from storage.operations.pools import begin_pool
from tests.labkit import Lab
from virt.connection import close_idle
from vms import creation
from vms import sync as vms_sync
from vms.models import MacAddress, Presence, Vm
from vms.operations.change import RenameVm, ResizeDisk, ResizeVm
from vms.operations.delete import DeleteVm
from vms.operations.power import StartVm
from vms.sizes import kept
from vms.spec import FirstBoot, NewVms, NicWish
from vms.states import VmState

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("here")]
MIB = 1024 * 1024
HOSTS = ("vmhost1", "vmhost2", "vmhost3")
POOL = "vmstest"
FOLDER = f"/var/lib/libvirt/drover/{POOL}"
PATIENCE_S = 120.0
Make = Callable[..., Vm]


def finish(job: Job) -> Job:
    work.run(job.pk)
    for part in job.children.all():
        work.run(part.pk)
    care.look_after()
    job.refresh_from_db()
    return job


def done(job: Job) -> Job:
    finish(job)
    assert job.state == "succeeded", f"{job.title}: {job.error}\n{job.technical}"
    return job


def do(user: User, operation: Operation) -> Job:
    return done(engine.enqueue(operation, user=user))


def fresh(vm: Vm) -> Vm:
    return Vm.objects.select_related("host", "job").get(pk=vm.pk)


@pytest.fixture
def hosts(lab: Lab, lab_hosts: list[Host]) -> Iterator[list[Host]]:
    """The lab's hosts, looked over as watch would."""
    for host in lab_hosts:
        hosts_sync.refresh_host(host)
    Host.objects.update(observed_state=HostState.UP)
    yield list(Host.objects.order_by("name"))
    close_idle(older_than_s=-1)


@pytest.fixture
def pool(lab: Lab, hosts: list[Host], admin: User) -> Iterator[Pool]:
    """A shared pool on all three hosts, with the tiny image in it; gone again afterwards, with all VMs of this test."""
    spec = {
        "name": POOL,
        "kind": "glusterfs",
        "source": {"host": "vmstorage", "path": "vmstorage"},
        "target_path": FOLDER,
    }
    try:
        done(begin_pool(admin, spec, hosts))
        yield Pool.objects.get(name=POOL)
    finally:
        lab.heal()
        for host in hosts:
            each = "virsh destroy $vm; virsh undefine $vm --nvram"
            tidy = f"for vm in $(virsh list --all --name | grep ^t8-); do {each}; done"
            lab.ssh(host.name, f"{tidy}; virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; true", check=False)
        lab.ssh("vmhost1", f"mkdir -p {FOLDER}", check=False)
        lab.ssh("vmstorage", "find / -xdev -name 't8-*' -delete", check=False)


@pytest.fixture
def image(lab: Lab, pool: Pool, hosts: list[Host]) -> Image:
    name = f"t8-tiny-{uuid4().hex[:6]}.qcow2"
    send = ["scp", "-q", "-i", str(lab.key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    subprocess.run([*send, str(lab.image("tiny")), f"root@{lab.address('vmhost1')}:{FOLDER}/{name}"], check=True)
    storage_sync.refresh_pool(pool, hosts[0], rescan=True)
    volume = Volume.objects.get(name=name)
    return Image.objects.create(
        name="tiny",
        version="1",
        pool=pool,
        volume_name=name,
        path=volume.path,
        format="qcow2",
        virtual_size_bytes=volume.capacity_bytes,
        state="ready",
    )


@pytest.fixture
def wish(pool: Pool, image: Image) -> NewVms:
    return NewVms(
        name=f"t8-{uuid4().hex[:6]}",
        image="tiny",
        pool=pool.pk,
        memory_bytes=128 * MIB,
        nics=[NicWish(bridge="br0")],
        first_boot=FirstBoot(user="ana", domain="lab.test"),
    )


def virsh(lab: Lab, host: str, *words: str) -> str:
    return lab.ssh(host, "virsh", *words, check=False).strip()


def until(answer: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not answer():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.5)


def files(lab: Lab) -> set[str]:
    return set(lab.ssh("vmhost1", f"ls {FOLDER}").split())


def ask_guest(lab: Lab, host: str, name: str, command: str) -> str:
    """What a command says on the guest's serial console."""
    typed = f"(sleep 1; echo; echo '{command}'; sleep 2; printf '\\035') | script -qec 'virsh console {name}' /dev/null"
    return lab.ssh(host, f"timeout 15 sh -c {repr(typed)}", check=False)


def test_its_whole_life(lab: Lab, admin: User, pool: Pool, image: Image, wish: NewVms) -> None:
    subnet = lab.facts["subnet"].rpartition(".")[0]
    before = files(lab)
    wish.nics = [NicWish(bridge="br0", address=f"{subnet}.88/24")]
    job = done(creation.request(admin, wish))
    vm = Vm.objects.get(uuid=job.target_key)
    assert vm.host is not None
    where = vm.host.name
    assert virsh(lab, where, "domstate", vm.name) == "running"
    assert (vm.state, vm.image, vm.is_adopted) == (VmState.RUNNING, image, False)
    assert len(files(lab) - before) == 2  # its disk and its seed

    until(lambda: "1 received" in lab.ssh(where, f"ping -c 1 -W 1 {subnet}.88", check=False), "its address")
    until(lambda: wish.name in ask_guest(lab, where, wish.name, "hostname"), "its host name")

    do(admin, by_name("vms.pause")(fresh(vm)))
    assert virsh(lab, where, "domstate", vm.name) == "paused"
    do(admin, by_name("vms.resume")(fresh(vm)))
    do(admin, by_name("vms.autostart")(fresh(vm), {"enabled": True}))
    assert "enable" in virsh(lab, where, "dominfo", vm.name).partition("Autostart:")[2].splitlines()[0]
    do(admin, ResizeDisk(fresh(vm), {"target": "vda", "size_bytes": 100 * MIB}))
    assert str(100 * MIB) in virsh(lab, where, "domblkinfo", vm.name, "vda")
    resized = do(admin, ResizeVm(fresh(vm), {"vcpus": 2, "memory_bytes": 160 * MIB}))
    assert resized.result == {"vcpus": "next boot", "memory": "next boot"}

    do(admin, by_name("vms.shutdown")(fresh(vm), {"timeout_s": int(PATIENCE_S)}))
    assert virsh(lab, where, "domstate", vm.name) == "shut off"
    do(admin, ResizeDisk(fresh(vm), {"target": "vda", "size_bytes": 120 * MIB}))
    do(admin, RenameVm(fresh(vm), {"name": f"{wish.name}-b"}))
    do(admin, StartVm(fresh(vm)))
    vm = fresh(vm)
    assert (vm.name, vm.vcpus, kept(vm).memory_bytes) == (f"{wish.name}-b", 2, 160 * MIB)
    do(admin, by_name("vms.reset")(vm))
    do(admin, by_name("vms.force-off")(fresh(vm)))

    do(admin, DeleteVm(fresh(vm), {"disks": "own"}))
    assert not Vm.objects.filter(uuid=vm.uuid).exists()
    assert virsh(lab, where, "domstate", str(vm.uuid)) == ""
    assert files(lab) == before


@pytest.fixture
def no_firmware(lab: Lab) -> Iterator[None]:
    """An empty description in /etc hides the packaged one of the same name."""
    hide = (
        "mkdir -p /etc/qemu/firmware && cd /usr/share/qemu/firmware && for f in *; do : > /etc/qemu/firmware/$f; done"
    )
    for name in HOSTS:
        lab.ssh(name, hide)
    yield
    for name in HOSTS:
        lab.ssh(name, "rm -r /etc/qemu/firmware")


def test_host_without_the_firmware(lab: Lab, admin: User, wish: NewVms, no_firmware: None) -> None:
    """No OVMF on the hosts: said in plain words, and nothing is left."""
    before = files(lab)
    wish.firmware = "uefi"
    job = finish(creation.request(admin, wish))
    assert job.state == "failed"
    assert "has no UEFI firmware" in job.error
    assert files(lab) == before
    assert not Vm.objects.filter(is_adopted=False).exists()


def test_several_spread_over_the_hosts(lab: Lab, admin: User, wish: NewVms) -> None:
    wish.count = 3
    job = done(creation.request(admin, wish))
    assert job.children.count() == 3
    vms = Vm.objects.filter(name__startswith=wish.name)
    assert {vm.state for vm in vms} == {VmState.RUNNING}
    assert {vm.host.name for vm in vms if vm.host} == {"vmhost1", "vmhost2", "vmhost3"}
    assert MacAddress.objects.filter(vm__in=vms).count() == 3


def test_start_that_fails_leaves_nothing(lab: Lab, admin: User, hosts: list[Host], wish: NewVms) -> None:
    """The bridge went away since it was last seen: disk, seed and definition are made, then all of it goes again."""
    before = files(lab)
    Host.objects.update(bridges=["br0", "br9"])
    wish.nics = [NicWish(bridge="br9")]
    job = finish(creation.request(admin, wish))
    assert job.state == "failed"
    assert "br9" in job.technical
    assert files(lab) == before
    assert not Vm.objects.filter(is_adopted=False).exists()
    assert not MacAddress.objects.exists()
    for host in hosts:
        assert virsh(lab, host.name, "domstate", job.target_key) == ""


def test_image_that_is_gone(lab: Lab, admin: User, image: Image, wish: NewVms) -> None:
    lab.ssh("vmhost1", f"rm {image.path}")
    before = files(lab)
    job = finish(creation.request(admin, wish))
    assert job.state == "failed"
    assert files(lab) == before
    assert not Vm.objects.filter(is_adopted=False).exists()


def test_host_that_is_cut_off_cannot_be_asked(lab: Lab, admin: User, hosts: list[Host], wish: NewVms) -> None:
    """Law 4 with real machines: a cut host stops the start until a person gives their word for it by name."""
    wish.start, wish.host = False, hosts[0].pk
    job = done(creation.request(admin, wish))
    vm = Vm.objects.get(uuid=job.target_key)
    lab.run("fault", "cut", "vmhost2")
    close_idle(older_than_s=-1)
    refused = finish(engine.enqueue(StartVm(fresh(vm)), user=admin))
    assert refused.state == "failed"
    assert refused.result["silent_hosts"] == [hosts[1].pk]
    assert virsh(lab, "vmhost1", "domstate", vm.name) == "shut off"
    do(admin, StartVm(fresh(vm), {"force": True, "silent_hosts": [hosts[1].pk]}))
    assert virsh(lab, "vmhost1", "domstate", vm.name) == "running"


def test_running_elsewhere_is_found_by_asking(lab: Lab, admin: User, hosts: list[Host], wish: NewVms) -> None:
    """Somebody started it by hand on another host a moment ago; the database does not know yet."""
    wish.start, wish.host = False, hosts[0].pk
    job = done(creation.request(admin, wish))
    vm = Vm.objects.get(uuid=job.target_key)
    xml = lab.ssh("vmhost1", f"virsh dumpxml {vm.name}")
    subprocess.run(
        ["ssh", "-i", str(lab.key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        + [f"root@{lab.address('vmhost2')}", "cat > /root/t8.xml"],
        input=xml.encode(),
        check=True,
    )
    lab.ssh("vmhost2", "virsh create /root/t8.xml; rm /root/t8.xml")
    refused = finish(engine.enqueue(StartVm(fresh(vm)), user=admin))
    assert refused.state == "failed"
    assert "runs already on vmhost2" in refused.error
    assert virsh(lab, "vmhost1", "domstate", vm.name) == "shut off"


def test_forced_off_on_the_wrong_host_of_two(lab: Lab, admin: User, hosts: list[Host], wish: NewVms) -> None:
    """Alive on two hosts: the person chooses which one ends, and only that one does."""
    wish.host = hosts[0].pk
    job = done(creation.request(admin, wish))
    vm = Vm.objects.get(uuid=job.target_key)
    copy = f"virsh dumpxml --inactive {vm.name}"
    xml = lab.ssh("vmhost1", copy).replace(vm.disks[0]["path"], f"{FOLDER}/t8-copy.qcow2")
    lab.ssh("vmhost1", f"qemu-img create -q -f qcow2 {FOLDER}/t8-copy.qcow2 64M")
    subprocess.run(
        ["ssh", "-i", str(lab.key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        + [f"root@{lab.address('vmhost2')}", "cat > /root/t8.xml; virsh create /root/t8.xml; rm /root/t8.xml"],
        input=xml.encode(),
        check=True,
    )
    vms_sync.refresh_vm(hosts[1], str(vm.uuid))
    Vm.objects.filter(pk=vm.pk).update(is_duplicate=True)
    assert Presence.objects.filter(vm=vm).count() == 2
    do(admin, by_name("vms.force-off")(fresh(vm), {"host": hosts[1].pk}))
    assert virsh(lab, "vmhost1", "domstate", str(vm.uuid)) == "running"
    assert virsh(lab, "vmhost2", "domstate", str(vm.uuid)) == ""


def test_pool_is_where_placement_says(hosts: list[Host], pool: Pool, wish: NewVms, admin: User) -> None:
    """The pool is stopped on two hosts: the third is the only place, and the VM is made there."""
    PoolOnHost.objects.filter(pool=pool).exclude(host=hosts[2]).update(is_active=False)
    job = done(creation.request(admin, wish))
    vm: Any = Vm.objects.select_related("host").get(uuid=job.target_key)
    assert vm.host == hosts[2]
