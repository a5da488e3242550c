"""Pools and volumes on real hosts: Gluster on three of them, failures that are true for each, a full pool."""

import time

import pytest

from access.models import User
from hosts.models import Host
from jobs.models import Job
from jobs.run import Run
from storage import volumes
from storage.models import Pool, Volume
from storage.operations.pools import RemovePool, begin_pool
from storage.operations.volumes import CloneVolume, CreateVolume, DeleteVolume, ResizeVolume
from tests.labkit import Lab
from tests.storage.conftest import Do, finish, forget_on_hosts, make_image
from virt.errors import AlreadyExists

pytestmark = [pytest.mark.lab, pytest.mark.django_db]
MIB = 1024**2


def run_of(user: User) -> Run:
    return Run(Job.objects.create(operation="x", title="x", user=user))


def test_it_works(lab: Lab, shared: Pool, lab_up: list[Host]) -> None:
    for host in lab_up:
        cell = shared.presences.get(host=host)
        assert cell.is_usable
        assert cell.autostart
        assert cell.capacity_bytes
        assert str(shared.uuid) == lab.ssh(host.name, f"virsh pool-uuid {shared.name}").strip()
    lab.ssh("vmhost1", f"touch {shared.target_path}/seen")
    assert lab.ssh("vmhost3", f"ls {shared.target_path}").strip() == "seen"


def test_content_stays_when_a_pool_is_removed(lab: Lab, shared: Pool, do: Do, admin: User, lab_up: list[Host]) -> None:
    lab.ssh("vmhost1", f"touch {shared.target_path}/precious")
    assert do(RemovePool(shared, {"hosts": [lab_up[0].pk]}), admin).state == "succeeded"
    assert shared.name not in lab.ssh("vmhost1", "virsh pool-list --all --name")
    assert "precious" in lab.ssh("vmhost2", f"ls {shared.target_path}")
    assert do(RemovePool(shared, {"forget": True}), admin).state == "succeeded"
    assert not Pool.objects.exists()


@pytest.mark.parametrize(
    ("kind", "source", "words"),
    [
        ("glusterfs", {"host": "vmstorage", "path": "nosuchvolume"}, "could not mount"),
        ("nfs", {"host": "no-such-server.invalid", "path": "/vms"}, "can't reach no-such-server"),
        ("glusterfs", {"host": "10.255.255.1", "path": "vms"}, "can't reach 10.255.255.1 at port 24007"),
    ],
)
def test_a_wrong_source_leaves_nothing(
    lab: Lab, lab_up: list[Host], do: Do, admin: User, kind: str, source: dict[str, str], words: str
) -> None:
    path = "/var/lib/libvirt/wrong"
    job = finish(begin_pool(admin, {"name": "wrong", "kind": kind, "target_path": path, "source": source}, lab_up[:2]))
    assert job.state == "failed"
    for part in job.children.all():
        assert words in part.error, part.error
    for host in lab_up[:2]:
        assert Pool.objects.get().presences.get(host=host).failure
        assert "wrong" not in lab.ssh(host.name, "virsh pool-list --all --name")
        assert not lab.ssh(host.name, f"ls -d {path}", check=False)


def test_a_host_without_the_mount_program_is_told_what_to_do(lab: Lab, lab_up: list[Host], do: Do, admin: User) -> None:
    lab.ssh("vmhost2", "mv /sbin/mount.glusterfs /sbin/mount.glusterfs.away")
    fields = {"name": "half", "kind": "glusterfs", "target_path": "/var/lib/libvirt/half"}
    source = {"host": lab.facts["gluster"]["server"], "path": lab.facts["gluster"]["volume"] + "/half"}
    whole = f"{source['host']}:/{lab.facts['gluster']['volume']}"
    lab.ssh("vmhost1", f"mount -t glusterfs {whole} /mnt && mkdir -p /mnt/half && umount /mnt")
    try:
        job = finish(begin_pool(admin, fields | {"source": source}, lab_up))
        assert job.state == "failed"
        assert {part.params["host"]: part.state for part in job.children.all()} == {
            lab_up[0].pk: "succeeded",
            lab_up[1].pk: "failed",
            lab_up[2].pk: "succeeded",
        }
        assert "apt install glusterfs-client" in job.children.get(state="failed").error
    finally:
        lab.ssh("vmhost2", "mv /sbin/mount.glusterfs.away /sbin/mount.glusterfs")
        forget_on_hosts(lab_up, "half")


def test_volumes(lab: Lab, shared: Pool, do: Do, admin: User, lab_up: list[Host]) -> None:
    made = {"name": "data.qcow2", "format": "qcow2", "size_bytes": 64 * MIB}
    assert do(CreateVolume(shared, made), admin).state == "succeeded"
    volume = Volume.objects.get()
    assert volume.host is None
    assert do(ResizeVolume(volume, {"size_bytes": 128 * MIB}), admin).state == "succeeded"
    volume.refresh_from_db()
    assert do(CloneVolume(volume, {"name": "copy.qcow2"}), admin).state == "succeeded"
    for name in ("data.qcow2", "copy.qcow2"):
        info = lab.ssh("vmhost2", f"qemu-img info {shared.target_path}/{name}")
        assert "virtual size: 128 MiB" in info
    assert do(DeleteVolume(volume), admin).state == "succeeded"
    assert lab.ssh("vmhost3", f"ls {shared.target_path}").split() == ["copy.qcow2"]


def test_a_file_that_appears_behind_our_back_is_seen_before_deleting(
    lab: Lab, shared: Pool, do: Do, admin: User
) -> None:
    assert do(CreateVolume(shared, {"name": "base.qcow2", "format": "qcow2", "size_bytes": 64 * MIB}), admin).pk
    base = Volume.objects.get()
    lab.ssh("vmhost3", f"cd {shared.target_path} && qemu-img create -q -f qcow2 -F qcow2 -b {base.path} top.qcow2")
    job = do(DeleteVolume(base), admin)
    assert job.state == "failed"
    assert f"{shared.name}/top.qcow2" in job.error
    assert "base.qcow2" in lab.ssh("vmhost1", f"ls {shared.target_path}")


def test_overlays_are_quick_and_stand_on_the_image(lab: Lab, shared: Pool, admin: User, lab_up: list[Host]) -> None:
    host = lab_up[0]
    lab.ssh("vmhost1", f"qemu-img create -q -f qcow2 {shared.target_path}/debian-12-1.qcow2 64M")
    image = make_image(shared, virtual_size_bytes=64 * MIB)
    volumes.volume_exists(shared, host, "warm-up")
    began = time.monotonic()
    path = volumes.create_overlay(run_of(admin), shared, host, image, "web.qcow2", 10 * MIB)
    took = time.monotonic() - began
    began = time.monotonic()
    lab.ssh("vmhost1", f"qemu-img create -q -f qcow2 -F qcow2 -b {image.path} {shared.target_path}/by-hand.qcow2")
    assert took < time.monotonic() - began + 0.3
    info = lab.ssh("vmhost2", f"qemu-img info {path}")
    assert f"backing file: {image.path}" in info
    assert "virtual size: 64 MiB" in info  # never smaller than the image
    assert Volume.objects.get(name="web.qcow2").backing_path == image.path
    with pytest.raises(AlreadyExists):
        volumes.create_overlay(run_of(admin), shared, host, image, "web.qcow2", 10 * MIB)


def test_small_files(lab: Lab, shared: Pool, lab_up: list[Host]) -> None:
    for size in (1, 511, 700_001):
        data = bytes([size % 251]) * size
        path = volumes.upload_bytes(shared, lab_up[1], "seed.iso", data, replace=True)
        assert lab.ssh("vmhost2", f"stat -c %s {path}").strip() == str(size)
    with pytest.raises(AlreadyExists):
        volumes.upload_bytes(shared, lab_up[0], "seed.iso", b"other")
    assert volumes.delete_volume(shared, lab_up[2], "seed.iso")  # a host that has not made it finds it
    assert not lab.ssh("vmhost1", f"ls {shared.target_path}").strip()


def test_a_full_pool(lab: Lab, small: Pool, do: Do, admin: User, lab_up: list[Host]) -> None:
    made = {"name": "big.raw", "format": "raw", "size_bytes": 64 * MIB, "host": lab_up[0].pk, "full": True}
    small.presences.update(available_bytes=None)  # as if nobody had looked: then the host must say it
    job = do(CreateVolume(small, made), admin)
    assert job.state == "failed"
    assert "no space left" in job.error.lower()
    assert not lab.ssh("vmhost1", "ls /srv/small").strip()
