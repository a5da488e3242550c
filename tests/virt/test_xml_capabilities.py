"""What a host says it can do, as a real QEMU host without KVM said it."""

from collections.abc import Callable

import pytest

from virt.xml import capabilities, cpu
from virt.xml.cpu import CpuFeature, CpuSpec, Topology
from virt.xml.tree import BadXml, parse_document

Sample = Callable[[str], str]


def test_it_works(sample: Sample) -> None:
    host = capabilities.parse(sample("capabilities-qemu.xml"))

    assert host.arch == "x86_64"
    assert host.host_uuid.count("-") == 4
    assert (host.cpu.model, host.cpu.vendor) == ("kvm64", "AMD")
    assert CpuFeature("avx2") in host.cpu.features
    assert host.topology == Topology(sockets=1, dies=1, cores=2, threads=1)
    assert (host.cpu_count, host.memory_bytes) == (2, 5990604 * 1024)
    assert (host.has_iommu, host.can_migrate_live) == (False, True)
    assert host.migration_transports == ("tcp", "rdma")
    assert host.security_models == ("none", "dac")
    assert parse_document(host.cpu_xml, "cpu").findtext("model") == "kvm64"


def test_what_it_can_run(sample: Sample) -> None:
    guest = capabilities.parse(sample("capabilities-qemu.xml")).guest("x86_64")

    assert guest is not None
    assert guest.emulator == "/usr/bin/qemu-system-x86_64"
    assert guest.domain_types == ("qemu", "kvm")
    assert {"q35", "pc-q35-7.2", "pc", "pc-i440fx-7.2"} <= set(guest.machines)
    assert capabilities.parse(sample("capabilities-qemu.xml")).guest("riscv64") is None


def test_domain_capabilities(sample: Sample) -> None:
    can = capabilities.parse_domain(sample("domain-capabilities-q35.xml"))

    assert (can.domain_type, can.arch, can.machine) == ("qemu", "x86_64", "pc-q35-7.2")
    assert (can.emulator, can.max_vcpus) == ("/usr/bin/qemu-system-x86_64", 288)
    assert (can.firmware, can.has_secure_boot) == (("bios",), False)
    assert can.cpu_modes == ("maximum", "host-model", "custom")
    assert {"qemu64", "Westmere", "Nehalem"} <= set(can.usable_models)
    assert "EPYC" not in can.usable_models
    assert {"virtio", "sata", "scsi"} <= set(can.disk_buses)
    assert "vnc" in can.graphics
    assert "vga" in can.video
    assert not can.has_tpm
    assert can.host_model is not None
    assert (can.host_model.model, can.host_model.vendor, can.host_model.fallback) == ("EPYC", "AMD", "forbid")
    assert CpuFeature("npt") in can.host_model.features
    assert CpuFeature("vme", "disable") in can.host_model.features


def test_the_host_model_can_be_given_to_libvirt(sample: Sample) -> None:
    xml = capabilities.parse_domain(sample("domain-capabilities-q35.xml")).host_model_xml

    assert cpu.parse(xml).model == "EPYC"
    assert parse_document(xml, "cpu").get("mode") == "custom"


def test_a_host_with_everything() -> None:
    can = capabilities.parse_domain(
        "<domainCapabilities><path>/q</path><domain>kvm</domain><arch>x86_64</arch><vcpu max='8'/><os>"
        "<enum name='firmware'><value>efi</value></enum><loader supported='yes'><enum name='secure'><value>yes"
        "</value></enum></loader></os><cpu><mode name='host-model' supported='no'/><mode name='custom' supported='yes'>"
        "<model usable='unknown' deprecated='yes' vendor='Intel'>Old</model></mode></cpu>"
        "<devices><tpm supported='yes'><enum name='backendModel'><value>emulator</value></enum></tpm></devices>"
        "</domainCapabilities>"
    )
    assert (can.firmware, can.has_secure_boot, can.has_tpm) == (("bios", "uefi"), True, True)
    assert can.cpu_models == (capabilities.CpuModel("Old", None, "Intel", is_deprecated=True),)
    assert (can.host_model, can.host_model_xml) == (None, "")
    host = capabilities.parse("<capabilities><host><iommu support='yes'/></host></capabilities>")
    assert (host.has_iommu, host.cpu_xml, host.can_migrate_live) == (True, "", False)


def test_node_info() -> None:
    info = capabilities.node_info(["x86_64", 5850, 2, 2596, 1, 1, 2, 1])

    assert (info.cpu_arch, info.memory_bytes, info.cpu_count) == ("x86_64", 5850 * 1024**2, 2)
    assert (info.mhz, info.numa_nodes, info.sockets, info.cores, info.threads) == (2596, 1, 1, 2, 1)


def test_a_baseline_becomes_the_cpu_of_new_vms() -> None:
    found = cpu.from_baseline(
        "<cpu mode='custom' match='exact'><model fallback='allow'>Westmere</model><vendor>Intel</vendor>"
        "<topology sockets='1' cores='2' threads='1'/><feature policy='require' name='vme'/>"
        "<feature policy='disable' name='tsc'/></cpu>"
    )

    assert found == CpuSpec(
        "custom",
        "Westmere",
        "Intel",
        (CpuFeature("vme"), CpuFeature("tsc", "disable")),
        match="exact",
        check="partial",
        fallback="forbid",
    )
    assert cpu.parse(cpu.build(found)) == found
    with pytest.raises(BadXml, match="in common"):
        cpu.from_baseline("<cpu><arch>x86_64</arch></cpu>")


def test_every_cpu_setting_comes_back() -> None:
    spec = CpuSpec("host-passthrough", migratable=False, topology=Topology(2, 1, 3, 4), check="none")

    assert cpu.parse(cpu.build(spec)) == spec


@pytest.mark.parametrize("xml", ["<domain/>", "<!DOCTYPE a><capabilities/>", "<capabilities"])
def test_what_is_none_is_refused(xml: str) -> None:
    with pytest.raises(BadXml):
        capabilities.parse(xml)
    with pytest.raises(BadXml):
        capabilities.parse_domain(xml)
