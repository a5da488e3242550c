"""A whole VM: every field reaches the XML, the XML is libvirt's own, and libvirt gives it back."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import libvirt
import pytest

from virt.xml import summary
from virt.xml.cpu import CpuFeature, CpuSpec, Topology
from virt.xml.devices import (
    BlockSource,
    CdromSpec,
    DiskSpec,
    FileSource,
    NetworkSource,
    NicSpec,
    SourceAuth,
    SourceHost,
    VolumeSource,
)
from virt.xml.devices import build as build_device
from virt.xml.domain import DomainSpec, VncSpec, build
from virt.xml.note import VmNote

UUID = "6695eb01-f6a4-4304-89aa-97f2502e193f"
GIB = 1024**3
MINIMAL = DomainSpec(name="web1", uuid=UUID, memory_bytes=GIB)
BASELINE = CpuSpec(
    mode="custom", model="Westmere", vendor="Intel", features=(CpuFeature("vmx", "disable"), CpuFeature("aes"))
)
GLUSTER = NetworkSource("gluster", "vms/web1.qcow2", (SourceHost("gluster1", 24007), SourceHost("gluster2")))
RBD = NetworkSource("rbd", "kvm/web1", (SourceHost("ceph1"),), SourceAuth("drover", "ceph", UUID))

FULL = DomainSpec(
    name="db-1.lab",
    uuid=UUID,
    title='Data "base" <1> & more',
    description="line one\nline two\t]]> 😀",
    memory_bytes=2 * GIB,
    max_memory_bytes=4 * GIB,
    vcpus=2,
    max_vcpus=8,
    firmware="uefi",
    is_secure_boot=True,
    boot=("cdrom", "disk", "network"),
    cpu=dataclasses.replace(BASELINE, topology=Topology(1, 1, 4, 2), migratable=None),
    clock="localtime",
    disks=(
        DiskSpec(FileSource("/srv/vms/db & co.qcow2"), cache="none", io="native", serial="ROOT"),
        DiskSpec(VolumeSource("fast", "data.img"), target="vdb", format="raw", discard="", is_readonly=True),
        DiskSpec(BlockSource("/dev/vg0/log"), target="sda", bus="scsi", format="raw", is_shareable=True),
        DiskSpec(GLUSTER, target="vdc"),
        DiskSpec(RBD, target="vdd", format="raw"),
    ),
    cdroms=(CdromSpec(FileSource("/srv/seeds/db.iso"), target="sdb"), CdromSpec(target="sdc")),
    nics=(
        NicSpec("52:54:00:00:00:01", network="default", mtu=1400),
        NicSpec("52:54:00:00:00:02", bridge="br0", model="e1000e", is_link_up=False),
    ),
    video="virtio",
    spare_ports=2,
    note=VmNote("alice", "bought with <love> & care"),
)
EMULATED = dataclasses.replace(
    MINIMAL,
    domain_type="qemu",
    machine="pc",
    cpu=CpuSpec(mode="maximum"),
    vnc=VncSpec("socket"),
    has_tablet=False,
    has_balloon=False,
)
ARM = dataclasses.replace(
    MINIMAL, name="arm", arch="aarch64", machine="virt", domain_type="qemu", has_guest_agent=False
)
BUILT = {"minimal": MINIMAL, "full": FULL, "emulated": EMULATED, "arm": ARM}


@pytest.mark.parametrize("name", BUILT)
def test_it_works(name: str, golden: Callable[[str, str], None], schema_valid: Callable[[str, str], None]) -> None:
    xml = build(BUILT[name])

    golden(f"domain-{name}.xml", xml)
    schema_valid(xml, "domain")


# What each field is changed to; a field that is missing here, or that does not reach the XML, fails the test.
OTHER: dict[type, tuple[Any, dict[str, Any]]] = {
    DomainSpec: (
        MINIMAL,
        {
            "name": "web2",
            "uuid": "0b5efd80-2c4e-4f63-9a0c-7b2c5e1f4d11",
            "memory_bytes": 2 * GIB,
            "vcpus": 3,
            "title": "a title",
            "description": "a text",
            "max_vcpus": 4,
            "max_memory_bytes": 3 * GIB,
            "domain_type": "qemu",
            "arch": "aarch64",
            "machine": "pc",
            "firmware": "uefi",
            "is_secure_boot": None,
            "boot": ("network",),
            "cpu": BASELINE,
            "clock": "localtime",
            "disks": (DiskSpec(FileSource("/a")),),
            "cdroms": (CdromSpec(),),
            "nics": (NicSpec("52:54:00:00:00:01", bridge="br0"),),
            "vnc": None,
            "video": "virtio",
            "has_serial": False,
            "has_guest_agent": False,
            "has_rng": False,
            "has_balloon": False,
            "has_tablet": False,
            "spare_ports": 0,
            "note": VmNote("alice"),
        },
    ),
    CpuSpec: (
        BASELINE,
        {
            "mode": None,
            "model": "Nehalem",
            "vendor": "AMD",
            "features": (),
            "match": "minimum",
            "check": "full",
            "fallback": "allow",
            "migratable": True,
            "topology": Topology(),
        },
    ),
    DiskSpec: (
        DiskSpec(FileSource("/a")),
        {
            "source": BlockSource("/a"),
            "target": "vdb",
            "bus": "scsi",
            "format": "raw",
            "cache": "none",
            "discard": "",
            "io": "native",
            "serial": "S1",
            "is_readonly": True,
            "is_shareable": True,
        },
    ),
    CdromSpec: (CdromSpec(), {"source": FileSource("/a"), "target": "sdb", "bus": "scsi"}),
    NicSpec: (
        NicSpec("52:54:00:00:00:01", network="default"),
        {
            "mac": "52:54:00:00:00:02",
            "network": "other",
            "bridge": None,
            "model": "e1000e",
            "is_link_up": False,
            "mtu": 9000,
        },
    ),
}
# Fields that only make sense together with another one.
TOGETHER: dict[tuple[type, str], tuple[Any, Any]] = {
    (DomainSpec, "is_secure_boot"): (
        dataclasses.replace(MINIMAL, firmware="uefi"),
        dataclasses.replace(MINIMAL, firmware="uefi", is_secure_boot=True),
    ),
    (CpuSpec, "mode"): (CpuSpec("host-model"), CpuSpec("maximum")),
    (NicSpec, "bridge"): (
        NicSpec("52:54:00:00:00:01", bridge="br0"),
        NicSpec("52:54:00:00:00:01", bridge="br1"),
    ),
}


def _xml(spec: Any) -> str:
    if isinstance(spec, CpuSpec):
        return build(dataclasses.replace(MINIMAL, cpu=spec))
    return build(spec) if isinstance(spec, DomainSpec) else build_device(spec)


CASES = [(kind, field.name) for kind in OTHER for field in dataclasses.fields(kind)]


@pytest.mark.parametrize(("kind", "field"), CASES, ids=[f"{kind.__name__}.{name}" for kind, name in CASES])
def test_every_field_reaches_the_xml(kind: type, field: str, schema_valid: Callable[[str, str], None]) -> None:
    base, others = OTHER[kind]
    before, after = TOGETHER.get((kind, field)) or (base, dataclasses.replace(base, **{field: others[field]}))

    assert _xml(before) != _xml(after)
    if isinstance(after, (DomainSpec, CpuSpec)):
        schema_valid(_xml(after), "domain")


@pytest.fixture(scope="module")
def simulated() -> Iterator[libvirt.virConnect]:
    conn = libvirt.open("test:///default")
    yield conn
    conn.close()


@pytest.mark.parametrize("name", BUILT)
def test_libvirt_takes_it_and_gives_it_back(name: str, simulated: libvirt.virConnect) -> None:
    # the simulated host knows neither kvm, EFI images nor the socket of a VNC server
    spec = dataclasses.replace(BUILT[name], domain_type="test", firmware="bios", is_secure_boot=False, vnc=VncSpec())
    domain = simulated.defineXMLFlags(build(spec), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        read = summary.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    finally:
        domain.undefine()

    assert (read.name, read.uuid, read.title) == (spec.name, spec.uuid, spec.title)
    assert (read.description, read.note, read.boot) == (spec.description, spec.note, spec.boot)
    assert (read.vcpus, read.max_vcpus) == (spec.vcpus, spec.max_vcpus or spec.vcpus)
    assert (read.memory_bytes, read.max_memory_bytes) == (
        spec.memory_bytes,
        spec.max_memory_bytes or spec.memory_bytes,
    )
    assert (read.cpu.mode, read.cpu.model, read.cpu.features) == (
        spec.cpu.mode,
        spec.cpu.model,
        spec.cpu.features,
    )
    targets = [*(disk.target for disk in spec.disks), *(drive.target for drive in spec.cdroms)]
    assert sorted(disk.target for disk in read.disks) == sorted(targets)
    assert [(nic.mac, nic.source) for nic in read.nics] == [(nic.mac, nic.network or nic.bridge) for nic in spec.nics]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"uuid": "1234"},
        {"memory_bytes": 0},
        {"memory_bytes": -1},
        {"memory_bytes": 10**18},
        {"vcpus": 0},
        {"vcpus": 10**6},
        {"max_vcpus": 1, "vcpus": 2},
        {"max_memory_bytes": GIB // 2},
        {"domain_type": "xen"},
        {"firmware": "coreboot"},
        {"is_secure_boot": True},
        {"clock": "mars"},
        {"boot": ("floppy",)},
        {"cpu": CpuSpec(mode="custom")},
        {"cpu": CpuSpec(mode="host-model", model="Westmere")},
        {"cpu": CpuSpec(mode="fast")},
        {"cpu": dataclasses.replace(BASELINE, features=(CpuFeature("aes", "perhaps"),))},
        {"title": "two\nlines"},
        {"description": "bell \x07"},
        {"name": "a\x00b"},
        {"name": "half \ud800"},
        {"note": VmNote("\x01")},
        {"disks": (DiskSpec(FileSource("/a\nb")),)},
        {"disks": (DiskSpec(FileSource("/a"), target="../x"),)},
        {"disks": (DiskSpec(FileSource("/a")), DiskSpec(FileSource("/b")))},
        {"disks": (DiskSpec(FileSource("/a"), target="sda"),), "cdroms": (CdromSpec(),)},
        {"nics": (NicSpec("52:54:00:00:00:01"),)},
        {"nics": (NicSpec("52:54:00:00:00:01", network="a", bridge="b"),)},
        {"nics": (NicSpec("53:54:00:00:00:01", network="a"),)},
        {"nics": (NicSpec("52:54:00:00:00:AB", network="a"), NicSpec("52:54:00:00:00:ab", network="b"))},
        {"nics": (NicSpec("52:54:00:00:00:01", bridge="a bridge with a long name"),)},
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        build(dataclasses.replace(MINIMAL, **changes))


def test_pcie_slots_are_left_for_later() -> None:
    without = build(dataclasses.replace(FULL, spare_ports=0))
    assert build(FULL).count("pcie-root-port") == without.count("pcie-root-port") + 2
    assert "pcie" not in build(EMULATED)


def test_other_architectures_get_nothing_of_a_pc() -> None:
    xml = build(ARM)

    assert "<apic" not in xml
    assert "<timer" not in xml
    assert "suspend-to-mem" not in xml
    assert "pcie-root-port" in xml
