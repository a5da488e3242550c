"""Reading what libvirt says about a VM: a running one, a stopped one, and one that somebody else made."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from virt.xml import summary
from virt.xml.cpu import CpuFeature, Topology
from virt.xml.note import VmNote
from virt.xml.summary import PassthroughSummary
from virt.xml.tree import BadXml

Sample = Callable[[str], str]
GIB = 1024**3


def test_it_works(sample: Sample) -> None:
    vm = summary.parse(sample("domain-live.xml"))

    assert (vm.name, vm.title, vm.description) == ("web1", "Web server", "two\nlines")
    assert vm.is_live
    assert vm.note == VmNote("alice", "hello")
    assert (vm.domain_type, vm.arch, vm.machine) == ("qemu", "x86_64", "pc-q35-7.2")
    assert (vm.memory_bytes, vm.vcpus) == (128 * 1024**2, 1)
    assert vm.graphics[0].port == 5900
    assert vm.graphics[0].listen == "127.0.0.1"
    assert vm.serials[0].path.startswith("/dev/pts/")
    assert [disk.source.place for disk in vm.disks] == [
        "/srv/drover-golden/web1.qcow2",
        "/srv/drover-golden/data.raw",
        "/srv/drover-golden/seed.iso",
        "",
    ]
    assert [source.place for source in vm.disks[0].backing] == ["/srv/drover-golden/base.qcow2"]


def test_a_stopped_vm_has_no_port(sample: Sample) -> None:
    vm = summary.parse(sample("domain-inactive.xml"))

    assert not vm.is_live
    assert vm.graphics[0].port is None
    assert vm.serials[0].path == ""


def test_an_adopted_vm_is_understood(sample: Sample) -> None:
    vm = summary.parse(sample("adopted.xml"))

    assert (vm.name, vm.uuid) == ("büro (alt) #2", "0b5efd80-2c4e-4f63-9a0c-7b2c5e1f4d11")
    assert (vm.memory_bytes, vm.max_memory_bytes) == (4_000_000_000, 8 * GIB)
    assert (vm.vcpus, vm.max_vcpus, vm.firmware) == (2, 8, "uefi")
    assert (vm.cpu.mode, vm.cpu.model, vm.cpu.fallback) == ("custom", "Skylake-Server", "allow")
    assert vm.cpu.features == (CpuFeature("hle", "disable"), CpuFeature("vmx", "require"))
    assert vm.cpu.topology == Topology(1, 1, 4, 2)
    assert vm.boot == ("sda", "vda")
    assert vm.note == VmNote("ines")
    assert (vm.video, vm.has_tpm, vm.has_guest_agent) == ("qxl", True, True)
    assert vm.shared_folders == ("share",)
    assert vm.passthrough == (
        PassthroughSummary("pci", "0000:01:00.0"),
        PassthroughSummary("usb", "046d:c52b"),
        PassthroughSummary("usb", "bus 1 device 3"),
        PassthroughSummary("mdev", "c2177883-f1bb-47f0-914d-32a22e3a8804"),
        PassthroughSummary("pci", "0000:03:10.1"),
    )


def test_disks_of_an_adopted_vm(sample: Sample) -> None:
    root, data, rbd, lun, cdrom = summary.parse(sample("adopted.xml")).disks

    assert (root.source.place, root.source.format, root.cache, root.serial) == (
        "/srv/vms/büro.qcow2",
        "qcow2",
        "none",
        "ROOT",
    )
    assert [layer.place for layer in root.backing] == [
        "/srv/vms/mid.qcow2",
        "gluster://gluster1/images/debian.raw",
    ]
    assert (data.source.pool, data.source.volume, data.source.place) == ("fast", "data.img", "fast/data.img")
    assert data.is_shareable
    assert rbd.source.place == "rbd://ceph1,ceph2/KVMpool/büro"
    assert (lun.device, lun.bus, lun.is_transient, lun.source.kind) == ("lun", "scsi", True, "block")
    assert (cdrom.device, cdrom.is_readonly, cdrom.target) == ("cdrom", True, "sda")


def test_interfaces_and_screens_of_an_adopted_vm(sample: Sample) -> None:
    vm = summary.parse(sample("adopted.xml"))
    network, bridge, direct, passed = vm.nics

    assert (network.mac, network.source, network.target, network.bridge) == (
        "52:54:00:aa:00:01",
        "default",
        "vnet4",
        "virbr0",
    )
    assert (network.model, network.is_link_up) == ("e1000e", False)
    assert (bridge.kind, bridge.source) == ("bridge", "br0")
    assert (direct.kind, direct.source) == ("direct", "eno1")
    assert (passed.kind, passed.source) == ("hostdev", "0000:03:10.1")
    spice, vnc = vm.graphics
    assert (spice.kind, spice.listen, spice.port, spice.tls_port) == ("spice", "10.1.1.1", 5901, 5902)
    assert (vnc.kind, vnc.socket, vnc.port, vnc.listen) == ("vnc", "/run/vm.sock", None, "")
    assert [(serial.kind, serial.port) for serial in vm.serials] == [("pty", 0), ("tcp", 1)]


def _used(value: Any, seen: dict[str, set[Any]]) -> None:
    if isinstance(value, tuple):
        for item in value:
            _used(item, seen)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            seen.setdefault(f"{type(value).__name__}.{field.name}", set()).add(inner)
            _used(inner, seen)


def test_every_field_was_read_with_different_values(sample: Sample) -> None:
    """A field that is always the same in all samples is not tested by them."""
    seen: dict[str, set[Any]] = {}
    for name in ("domain-live.xml", "domain-full.xml", "domain-arm.xml", "adopted.xml"):
        _used(summary.parse(sample(name)), seen)

    lonely = {name for name, values in seen.items() if len(values) < 2}
    # these are told apart in test_xml_domain, on the way out
    assert lonely == {"Topology.sockets", "Topology.dies", "Topology.cores", "Topology.threads", "CpuSpec.migratable"}


def test_almost_nothing_is_enough() -> None:
    vm = summary.parse("<domain type='lxc'><name>c</name><memory>1024</memory></domain>")

    assert (vm.name, vm.memory_bytes, vm.vcpus, vm.cpu.mode, vm.firmware) == ("c", 1024 * 1024, 1, "", "bios")


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "not xml",
        "<domain>",
        "<network/>",
        "<domain><memory unit='parsec'>1</memory></domain>",
        "<domain><memory>much</memory></domain>",
        "<domain><vcpu>two</vcpu></domain>",
        "<domain><name>\ud800</name></domain>",
        "<!DOCTYPE domain><domain/>",
        "<!DOCTYPE domain [<!ENTITY x 'y'>]><domain><name>&x;</name></domain>",
        "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain><name>&x;</name></domain>",
        "<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x.dtd'><domain/>",
        "<domain><name>" + "x" * (8 * 1024 * 1024) + "</name></domain>",
        "<domain>" + "<a>" * 100_000 + "</a>" * 100_000 + "</domain>",
    ],
    ids=range(14),
)
def test_what_is_no_domain_is_refused(xml: str) -> None:
    with pytest.raises(BadXml):
        summary.parse(xml)


def test_an_xml_declaration_is_no_obstacle() -> None:
    assert summary.parse("<?xml version='1.0' encoding='ISO-8859-1'?><domain><name>ü</name></domain>").name == "ü"
