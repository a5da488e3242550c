"""Drover's own note in a VM's <metadata>, so that the owner is known even where the database is not."""

from dataclasses import dataclass

from lxml import etree

from virt.xml.tree import Element, add, check_text

NAMESPACE = "urn:drover:vm:1"
_PREFIX = "drover"


@dataclass(frozen=True)
class VmNote:
    """Who owns the VM, and free text. Both empty: no note is written."""

    owner: str = ""
    text: str = ""


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def note_element(note: VmNote) -> Element:
    """<drover:vm>, as conn.setMetadata takes it or as it lies in <metadata>."""
    element = etree.Element(_tag("vm"), nsmap={_PREFIX: NAMESPACE})
    for name, value in (("owner", note.owner), ("note", note.text)):
        if value:
            etree.SubElement(element, _tag(name)).text = check_text(value, f"the VM's {name}")
    return element


def add_note(domain: Element, note: VmNote) -> None:
    """Write `note` into <metadata>, replacing only Drover's own element; other programs' stay."""
    metadata = domain.find("metadata")
    if metadata is not None:
        for old in metadata.findall(_tag("vm")):
            metadata.remove(old)
    if note == VmNote():
        return
    if metadata is None:
        metadata = add(domain, "metadata")
    metadata.append(note_element(note))


def note_of(domain: Element) -> VmNote:
    """The note of a domain, empty if there is none."""
    element = domain.find(f"metadata/{_tag('vm')}")
    if element is None:
        return VmNote()
    return VmNote(owner=element.findtext(_tag("owner")) or "", text=element.findtext(_tag("note")) or "")
