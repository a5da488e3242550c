"""Pools and volumes: every field reaches the XML, libvirt takes it, hosts can be compared."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import libvirt
import pytest

from virt.xml import pool, volume
from virt.xml.devices import SourceHost
from virt.xml.pool import PoolSpec
from virt.xml.tree import BadXml
from virt.xml.volume import VolumeSpec

UUID = "0b5efd80-2c4e-4f63-9a0c-7b2c5e1f4d11"
GIB = 1024**3
DIR = PoolSpec("images", "dir", "/srv/images")
NFS = PoolSpec(
    "shared",
    "netfs",
    "/var/lib/libvirt/drover/shared",
    uuid=UUID,
    source_format="nfs",
    hosts=(SourceHost("10.77.0.41"),),
    source_dir="/exports/vm's & <co>",
    protocol_version="4.2",
    mount_options=("nodev", "timeo=50"),
    mode="0711",
    owner=0,
    group=64055,
)
GLUSTER = PoolSpec(
    "gluster-1",
    "netfs",
    "/mnt/g",
    source_format="glusterfs",
    hosts=(SourceHost("gluster1"),),
    source_dir="kvmgluster",
    mount_options=("backup-volfile-servers=gluster2:gluster3",),
)
RBD = PoolSpec(
    "ceph",
    "rbd",
    hosts=(SourceHost("ceph1", 6789), SourceHost("fd00::1")),
    source_name="KVMpool",
    auth_kind="ceph",
    auth_user_name="KVMpool",
    secret_uuid=UUID,
)
ISCSI = PoolSpec(
    "san",
    "iscsi-direct",
    hosts=(SourceHost("iscsi1"),),
    devices=("iqn.2019-12.com.example:one",),
    initiator="iqn.2019-12.com.example:host01",
    auth_kind="chap",
    auth_user_name="u",
    secret_usage="libvirtiscsi",
)
LVM = PoolSpec("fast", "logical", "/dev/vg0", source_name="vg0", source_format="lvm2", devices=("/dev/sdb1",))
POOLS = {"dir": DIR, "nfs": NFS, "gluster": GLUSTER, "rbd": RBD, "iscsi": ISCSI, "logical": LVM}


@pytest.mark.parametrize("name", POOLS)
def test_it_works(name: str, golden: Callable[[str, str], None], schema_valid: Callable[[str, str], None]) -> None:
    xml = pool.build(POOLS[name])

    golden(f"pool-{name}.xml", xml)
    schema_valid(xml, "storagepool")
    assert pool.parse(xml) == POOLS[name]


def test_every_pool_field_is_used() -> None:
    """build and parse are each other's opposite above, so a field that is set in one of the pools is tested."""
    empty = PoolSpec("", "")
    untouched = {
        field.name
        for field in dataclasses.fields(PoolSpec)
        if all(getattr(spec, field.name) == getattr(empty, field.name) for spec in POOLS.values())
    }
    assert untouched == set()


@pytest.fixture(scope="module")
def simulated() -> Iterator[libvirt.virConnect]:
    conn = libvirt.open("test:///default")
    yield conn
    conn.close()


@pytest.mark.parametrize("name", ["dir", "gluster", "logical"])
def test_libvirt_takes_a_pool_and_gives_it_back(name: str, simulated: libvirt.virConnect) -> None:
    # mount options belong to the real storage driver only
    spec = dataclasses.replace(POOLS[name], uuid=UUID, mount_options=())
    made = simulated.storagePoolDefineXML(pool.build(spec), libvirt.VIR_STORAGE_POOL_DEFINE_VALIDATE)
    try:
        assert pool.parse(made.XMLDesc(0)) == spec
    finally:
        made.undefine()


@pytest.mark.parametrize(
    "spec",
    [
        PoolSpec("", "dir", "/srv"),
        PoolSpec("a", ""),
        PoolSpec("a", "dir"),
        PoolSpec("a", "dir", "srv"),
        PoolSpec("a", "dir", "/srv/../etc"),
        PoolSpec("a\x00", "dir", "/srv"),
        PoolSpec("a", "netfs", "/mnt", source_dir="/x"),
        PoolSpec("a", "netfs", "/mnt", hosts=(SourceHost("h"),)),
        PoolSpec("a", "netfs", "/mnt", hosts=(SourceHost("-o x"),), source_dir="/x"),
        PoolSpec("a", "netfs", "/mnt", hosts=(SourceHost("h"),), source_dir="/x/../y"),
        dataclasses.replace(NFS, mount_options=("a,b",)),
        dataclasses.replace(NFS, mount_options=("",)),
        dataclasses.replace(NFS, mode="0999"),
        dataclasses.replace(NFS, mode="77777"),
        dataclasses.replace(NFS, uuid="x"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(spec: PoolSpec) -> None:
    with pytest.raises(ValueError, match=r"."):
        pool.build(spec)


def test_the_same_source_under_two_names() -> None:
    other = dataclasses.replace(NFS, name="nfs2", uuid="", hosts=(SourceHost("10.77.0.41"),))

    assert pool.source_key(NFS) == pool.source_key(other) == "nfs://10.77.0.41/exports/vm's & <co>"
    assert pool.source_key(dataclasses.replace(NFS, source_format="auto")) == pool.source_key(NFS)
    slashes = dataclasses.replace(GLUSTER, source_dir="/kvmgluster", hosts=(SourceHost("GLUSTER1"),))
    assert pool.source_key(slashes) == pool.source_key(GLUSTER) == "glusterfs://gluster1/kvmgluster"
    assert len({pool.source_key(spec) for spec in POOLS.values()}) == len(POOLS)
    assert pool.source_key(DIR) == "dir:/srv/images"
    assert pool.source_key(RBD) == "rbd://ceph1:6789,fd00::1/KVMpool"


def test_what_two_hosts_differ_in() -> None:
    there = dataclasses.replace(NFS, uuid="", target_path="/mnt", owner=None, hosts=(SourceHost("other"),))

    assert pool.difference(NFS, dataclasses.replace(NFS, uuid="")) == {}
    assert pool.difference(NFS, there) == {
        "source": ("nfs://10.77.0.41/exports/vm's & <co>", "nfs://other/exports/vm's & <co>"),
        "target_path": ("/var/lib/libvirt/drover/shared", "/mnt"),
        "owner": ("0", ""),
    }


def test_which_pools_are_shared() -> None:
    assert {name for name, spec in POOLS.items() if spec.is_shared} == {"nfs", "gluster", "rbd", "iscsi"}


def test_a_pool_with_what_libvirt_adds() -> None:
    read = pool.parse(
        "<pool type='dir'><name>p</name><capacity unit='bytes'>5</capacity><source></source><target>"
        "<path>/p</path><permissions><mode>0711</mode><owner>-1</owner><group>0</group></permissions></target></pool>"
    )
    assert read == PoolSpec("p", "dir", "/p", mode="0711", group=0)
    with pytest.raises(BadXml):
        pool.parse("<volume/>")
    with pytest.raises(BadXml):
        pool.parse("<pool><source><host name='a' port='x'/></source></pool>")


OVERLAY = VolumeSpec(
    "web 1.qcow2",
    10 * GIB,
    allocation_bytes=1024,
    backing_path="/srv/images/debian & co.qcow2",
    backing_format="qcow2",
    mode="0600",
    owner=64055,
    group=64055,
    cluster_size_bytes=65536,
)
RAW = VolumeSpec("data.img", GIB, format="raw")


@pytest.mark.parametrize(("name", "spec"), [("overlay", OVERLAY), ("raw", RAW)])
def test_a_volume(
    name: str,
    spec: VolumeSpec,
    golden: Callable[[str, str], None],
    schema_valid: Callable[[str, str], None],
) -> None:
    xml = volume.build(spec)

    golden(f"volume-{name}.xml", xml)
    schema_valid(xml, "storagevol")
    read = volume.parse(xml)
    assert (read.name, read.capacity_bytes, read.allocation_bytes, read.format) == (
        spec.name,
        spec.capacity_bytes,
        spec.allocation_bytes,
        spec.format,
    )
    assert (read.backing_path, read.backing_format) == (spec.backing_path, spec.backing_format)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(VolumeSpec) if field.name != "is_file"])
def test_every_volume_field_reaches_the_xml(field: str) -> None:
    other: dict[str, Any] = {
        "name": "b",
        "capacity_bytes": 2 * GIB,
        "allocation_bytes": 0,
        "format": "raw",
        "backing_path": "/b",
        "backing_format": "raw",
        "mode": "0644",
        "owner": None,
        "group": None,
        "cluster_size_bytes": None,
    }
    base = RAW if field == "format" else OVERLAY
    base = dataclasses.replace(base, format="qcow2")
    assert volume.build(base) != volume.build(dataclasses.replace(base, **{field: other[field]}))


def test_a_file_may_be_smaller_than_a_disk(schema_valid: Callable[[str, str], None]) -> None:
    with pytest.raises(ValueError, match="1 MiB"):
        volume.build(dataclasses.replace(RAW, capacity_bytes=100))
    xml = volume.build(dataclasses.replace(RAW, capacity_bytes=100, is_file=True))

    schema_valid(xml, "storagevol")
    assert volume.parse(xml).capacity_bytes == 100
    with pytest.raises(ValueError, match="1 MiB"):
        volume.build(VolumeSpec("q", 100, is_file=True))


def test_a_volume_as_libvirt_describes_it(simulated: libvirt.virConnect) -> None:
    home = simulated.storagePoolLookupByName("default-pool")
    made = home.createXML(volume.build(RAW), 0)
    try:
        read = volume.parse(made.XMLDesc(0))
    finally:
        made.delete(0)
    assert (read.name, read.capacity_bytes, read.allocation_bytes) == ("data.img", GIB, 0)
    assert (read.path, read.key, read.kind) == (
        "/default-pool/data.img",
        "/default-pool/data.img",
        "file",
    )


def test_units_and_what_else_a_volume_says() -> None:
    read = volume.parse(
        "<volume type='block'><name>v</name><key>k</key><capacity unit='G'>2</capacity><allocation>5</allocation>"
        "<physical unit='kB'>3</physical><target><path>/p</path><format type='luks'/><encryption format='luks'/>"
        "</target><backingStore><path>/b</path><format type='raw'/></backingStore></volume>"
    )
    assert dataclasses.astuple(read) == (
        "v", "k", "block", "/p", "luks", 2 * GIB, 5, 3000, "/b", "raw", True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"capacity_bytes": 0},
        {"capacity_bytes": -1},
        {"capacity_bytes": 10**18},
        {"allocation_bytes": -1},
        {"allocation_bytes": 2 * GIB},
        {"format": "vmdk"},
        {"backing_path": "/b", "backing_format": "qcow2"},
        {"name": "a\x07"},
        {"format": "qcow2", "backing_path": "/b"},
        {"format": "qcow2", "backing_path": "/b", "backing_format": "vmdk"},
    ],
)
def test_a_volume_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        volume.build(dataclasses.replace(RAW, **changes))
