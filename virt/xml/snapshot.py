"""<domainsnapshot>: building one to be made, reading those that are there (libvirt.org/formatsnapshot.html)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from virt.names import check_description, check_snapshot_name
from virt.xml.tree import Element, add, attribute, bytes_of, number, parse_document, serialise, text_of


@dataclass(frozen=True)
class SnapshotSummary:
    """has_memory: it was taken of a running VM, which runs on from there. vcpus, memory_bytes: what the VM had."""

    name: str
    description: str = ""
    taken_at: datetime = datetime.fromtimestamp(0, UTC)
    has_memory: bool = False
    parent: str = ""
    is_current: bool = False
    vcpus: int = 0
    memory_bytes: int = 0


def build(name: str, description: str = "") -> str:
    """One inside the disks' own files, with the memory if the VM runs: what libvirt does by itself for qcow2."""
    root: Element = etree.Element("domainsnapshot")
    add(root, "name", check_snapshot_name(name))
    if description:
        add(root, "description", check_description(description))
    return serialise(root)


def parse(xml: str, *, is_current: bool = False) -> SnapshotSummary:
    root = parse_document(xml, "domainsnapshot")
    vcpu = root.find("domain/vcpu")
    return SnapshotSummary(
        name=text_of(root, "name"),
        description=text_of(root, "description"),
        taken_at=datetime.fromtimestamp(number(text_of(root, "creationTime") or "0", "creationTime"), UTC),
        has_memory=text_of(root, "state") in {"running", "paused", "blocked", "pmsuspended"}
        and attribute(root, "memory", "snapshot") != "no",
        parent=text_of(root, "parent/name"),
        is_current=is_current,
        vcpus=0 if vcpu is None else number(vcpu.get("current") or vcpu.text or "0", "vcpu"),
        memory_bytes=bytes_of(root.find("domain/currentMemory")),
    )
