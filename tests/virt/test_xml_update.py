"""Changing a definition that somebody else made: only what is meant changes."""

import difflib
from collections.abc import Callable

import libvirt
import pytest
from lxml import etree

from virt.xml import drift, summary, update
from virt.xml.cpu import CpuSpec
from virt.xml.devices import CdromSpec, DiskSpec, FileSource, NetworkSource, NicSpec, SourceHost
from virt.xml.note import VmNote

Sample = Callable[[str], str]
GIB = 1024**3
MAC = "52:54:00:aa:00:01"


def _changed(before: str, after: str) -> list[str]:
    """Which lines a change added (+) and removed (-), with both laid out alike."""
    texts = [etree.canonicalize(text) for text in (before, after)]
    old, new = ([line.strip() for line in text.replace("><", ">\n<").splitlines() if line.strip()] for text in texts)
    return [line for line in difflib.ndiff(old, new) if line[0] in "+-"]


def test_it_works(sample: Sample, golden: Callable[[str, str], None]) -> None:
    xml = sample("adopted.xml")
    xml = update.set_vcpus(xml, 4)
    xml = update.set_memory(xml, 2 * GIB)
    xml = update.set_title(xml, "Office <new>")
    xml = update.set_description(xml, "")
    xml = update.set_note(xml, VmNote("olga", "moved"))
    xml = update.set_cpu(xml, CpuSpec(mode="custom", model="Westmere"))
    xml = update.set_boot(xml, ("disk", "network"))
    xml = update.add_device(xml, DiskSpec(FileSource("/srv/vms/new.qcow2"), target="vdd"))
    xml = update.add_device(xml, NicSpec("52:54:00:aa:00:09", bridge="br1"))
    xml = update.add_device(xml, CdromSpec(target="sdd"))
    xml = update.remove_disk(xml, "vdc")
    xml = update.remove_nic(xml, "52-54-00-AA-00-03")
    xml = update.set_medium(xml, "sda", None)
    xml = update.set_nic_source(xml, MAC, bridge="br0")
    xml = update.set_nic_link(xml, MAC, is_up=True)
    xml = update.set_graphics_listen(xml, "127.0.0.1")

    golden("adopted-changed.xml", xml)


def test_changing_nothing_keeps_everything(sample: Sample) -> None:
    before = sample("adopted.xml")
    after = update.set_title(before, "Office & print")

    assert _changed(before, after) == []


def test_cpus(sample: Sample) -> None:
    before = sample("adopted.xml")

    assert _changed(before, update.set_vcpus(before, 8)) == [
        '- <vcpu cpuset="0-7" current="2" placement="static">8</vcpu>',
        '+ <vcpu cpuset="0-7" placement="static">8</vcpu>',
    ]
    assert summary.parse(update.set_vcpus(before, 3)).max_vcpus == 8
    assert summary.parse(update.set_vcpus(before, 3)).cpu.topology is not None
    more = summary.parse(update.set_vcpus(before, 12))
    assert (more.vcpus, more.max_vcpus, more.cpu.topology) == (12, 12, None)
    with pytest.raises(ValueError, match="maximum"):
        update.set_vcpus(before, 4, max_vcpus=2)
    assert summary.parse(update.set_vcpus("<domain/>", 2)).vcpus == 2


def test_numa_follows_if_it_is_one_cell(sample: Sample) -> None:
    xml = update.set_memory(update.set_vcpus(sample("adopted.xml"), 12), GIB)

    cell = etree.fromstring(xml).find("cpu/numa/cell")
    assert cell is not None
    found = {str(name): str(value) for name, value in cell.attrib.items()}
    assert found == {"id": "0", "cpus": "0-11", "memory": str(1024**2), "unit": "KiB"}
    two = xml.replace("<numa>", "<numa><cell id='1' cpus='12' memory='1' unit='GiB'/>")
    with pytest.raises(ValueError, match="NUMA"):
        update.set_memory(two, 2 * GIB)
    with pytest.raises(ValueError, match="NUMA"):
        update.set_vcpus(two, 20)
    assert summary.parse(update.set_vcpus(two, 3)).vcpus == 3


def test_a_pin_of_a_cpu_that_is_gone_goes_too(sample: Sample) -> None:
    xml = sample("adopted.xml").replace("vcpupin vcpu='0'", "vcpupin vcpu='2'")

    assert "vcpupin" in update.set_vcpus(xml, 3, max_vcpus=3)
    assert "vcpupin" not in update.set_vcpus(xml, 2, max_vcpus=2)


def test_memory(sample: Sample) -> None:
    before = sample("adopted.xml")
    after = update.set_memory(before, 3 * GIB, 40 * GIB)

    read = summary.parse(after)
    assert (read.memory_bytes, read.max_memory_bytes) == (3 * GIB, 40 * GIB)
    # the limit for memory plugged in later may not lie below
    assert f'<maxMemory slots="16" unit="KiB">{40 * 1024**2}</maxMemory>' in after
    with pytest.raises(ValueError, match="maximum"):
        update.set_memory(before, 3 * GIB, 2 * GIB)
    with pytest.raises(ValueError, match="Memory"):
        update.set_memory(before, 0)


def test_foreign_metadata_survives(sample: Sample) -> None:
    before = sample("adopted.xml")
    after = update.set_note(before, VmNote("olga", "<script>&\"'"))

    assert summary.parse(after).note == VmNote("olga", "<script>&\"'")
    root = etree.fromstring(after)
    assert root.findtext("metadata/{urn:example:other}tool/{urn:example:other}color") == "red"
    assert root.find("metadata//{http://libosinfo.org/xmlns/libvirt/domain/1.0}os") is not None
    assert len(root.findall("metadata/{urn:drover:vm:1}vm")) == 1
    assert "drover" not in update.set_note(after, VmNote())
    assert root.find("{http://libvirt.org/schemas/domain/qemu/1.0}commandline") is not None


def test_a_title_that_was_not_there(sample: Sample) -> None:
    without = update.set_title(sample("adopted.xml"), "")

    assert "<title>" not in without
    assert summary.parse(update.set_title(without, "New")).title == "New"


def test_the_cpu_keeps_its_layout(sample: Sample) -> None:
    after = summary.parse(update.set_cpu(sample("adopted.xml"), CpuSpec(mode="host-model")))

    assert (after.cpu.mode, after.cpu.model) == ("host-model", "")
    assert after.cpu.topology is not None
    assert summary.parse(update.set_cpu("<domain/>", CpuSpec(mode="maximum"))).cpu.mode == "maximum"


def test_media(sample: Sample) -> None:
    before = sample("adopted.xml")
    empty = update.set_medium(before, "sda", None)

    assert _changed(before, empty) == ['- <source file="/srv/iso/install.iso">', "- </source>"]
    full = update.set_medium(empty, "sda", FileSource("/srv/iso/a & b.iso"))
    assert summary.parse(full).disks[4].source.place == "/srv/iso/a & b.iso"
    with pytest.raises(update.NotFound):
        update.set_medium(before, "vda", None)
    with pytest.raises(update.NotFound):
        update.set_medium(before, "sdz", None)


def test_a_moved_disk_loses_the_old_chain(sample: Sample) -> None:
    before = sample("adopted.xml")
    target = NetworkSource("gluster", "vms/x.qcow2", (SourceHost("gluster1"),))

    disk = summary.parse(update.set_disk_source(before, "vda", target)).disks[0]
    assert (disk.source.place, disk.backing) == ("gluster://gluster1/vms/x.qcow2", ())
    other = summary.parse(
        update.replace_paths(before, {"/srv/vms/büro.qcow2": "/mnt/b.qcow2", "/srv": "/no", "/dev/disk": "/no"})
    )
    assert [disk.source.place for disk in other.disks][:4] == [
        "/mnt/b.qcow2",
        "fast/data.img",
        "rbd://ceph1,ceph2/KVMpool/büro",
        "/dev/disk/by-id/scsi-1",
    ]


def test_devices_by_themselves(sample: Sample) -> None:
    xml = sample("adopted.xml")

    assert etree.fromstring(update.device_xml(xml, target="vda")).find("iotune") is not None
    assert etree.fromstring(update.device_xml(xml, mac=MAC.upper())).get("type") == "network"
    with pytest.raises(update.NotFound):
        update.device_xml(xml, target="vdx")
    with pytest.raises(update.NotFound):
        update.device_xml(xml, mac="52:54:00:00:00:99")


def test_what_is_taken_is_refused(sample: Sample) -> None:
    xml = sample("adopted.xml")

    with pytest.raises(ValueError, match="already has a disk vda"):
        update.add_device(xml, DiskSpec(FileSource("/a")))
    with pytest.raises(ValueError, match="already has an interface"):
        update.add_device(xml, NicSpec(MAC.upper(), network="default"))
    with pytest.raises(ValueError, match="either"):
        update.set_nic_source(xml, MAC)
    with pytest.raises(ValueError, match="boot device"):
        update.set_boot(xml, ("floppy",))


def test_an_interface_changes_sides(sample: Sample) -> None:
    before = sample("adopted.xml")

    assert _changed(before, update.set_nic_source(before, "52:54:00:aa:00:02", network="lab")) == [
        '- <interface type="bridge">',
        '+ <interface type="network">',
        '- <source bridge="br0">',
        '+ <source network="lab">',
        '- <virtualport type="openvswitch">',
        '- <parameters interfaceid="09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f">',
        "- </parameters>",
        "- </virtualport>",
    ]


def test_graphics_listen_elsewhere_but_sockets_stay(sample: Sample) -> None:
    spice, vnc = summary.parse(update.set_graphics_listen(sample("adopted.xml"), "127.0.0.1")).graphics

    assert (spice.listen, spice.port, spice.tls_port) == ("127.0.0.1", None, None)
    assert vnc.socket == "/run/vm.sock"


def test_the_same_definition_has_no_drift(sample: Sample) -> None:
    assert drift.diff(sample("domain-inactive.xml"), sample("domain-live.xml")) == []
    assert drift.diff(sample("adopted.xml"), update.set_title(sample("adopted.xml"), "Office & print")) == []


def test_drift_shows_what_differs_and_hides_passwords(sample: Sample) -> None:
    before = sample("adopted.xml")
    after = update.set_memory(update.remove_disk(before, "vdb"), 8 * GIB)

    lines = drift.diff(before, after)
    assert lines[:2] == ["--- kept", "+++ host"]
    assert any(line.startswith("-") and 'volume="data.img"' in line for line in lines)
    assert any(line.startswith("+") and "8388608" in line for line in lines)
    assert "geheim" not in drift.canonical(before)


def test_passed_through_devices_and_what_they_are_matter(sample: Sample) -> None:
    before = sample("adopted.xml")

    assert drift.diff(before, before.replace("bus='0x01' slot='0x00'", "bus='0x09' slot='0x00'")) != []
    assert drift.diff(before, before.replace("bus='0x03' slot='0x10'", "bus='0x09' slot='0x10'")) != []
    # where the guest sees it is libvirt's choice
    assert drift.diff(before, before.replace("bus='0x05' slot='0x00'", "bus='0x09' slot='0x00'")) == []


def test_the_order_of_disks_is_no_drift(sample: Sample) -> None:
    before = sample("adopted.xml")
    first = update.device_xml(before, target="vdb")
    reordered = update.remove_disk(before, "vdb").replace("<devices>", "<devices>" + first)

    assert summary.parse(reordered).disks[0].target == "vdb"
    assert drift.diff(before, reordered) == []


def test_what_a_start_adds_is_no_drift(sample: Sample) -> None:
    """On libvirt's simulated host: define, start, read again."""
    conn = libvirt.open("test:///default")
    domain = conn.lookupByName("test")
    kept = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    assert drift.diff(kept, domain.XMLDesc(0)) == []
    changed = conn.defineXML(update.set_title(kept, "other"))
    assert [line for line in drift.diff(kept, changed.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)) if line[0] in "+-"][
        2:
    ] == ["+  <title>other</title>"]
    conn.close()


def test_comments_in_the_middle_of_text_do_not_swallow_it() -> None:
    text = drift.canonical("<domain><description>one <!-- x -->two</description><!-- y --><name>n</name></domain>")

    assert "<description>one two</description>" in text
    assert "<!--" not in text
