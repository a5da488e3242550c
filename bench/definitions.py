"""Definitions of 8 kB as hosts return them, one for each VM of the large cluster: the project's own sample, renamed."""

import copy
from pathlib import Path
from uuid import UUID

from virt.xml.tree import Element, parse_document, serialise

SAMPLES = Path(__file__).resolve().parent.parent / "tests" / "data" / "xml"


def sample(name: str) -> Element:
    return parse_document((SAMPLES / f"{name}.xml").read_text(), "domain")


def need(root: Element, path: str) -> Element:
    """The element at a path, which must be there."""
    found = root.find(path)
    if found is None:
        raise AssertionError(f"no {path} in <{root.tag}>")
    return found


def renamed(root: Element, name: str, uuid: UUID, mac: str, disk: str, memory_bytes: int, vcpus: int) -> str:
    """The definition of another VM: its name, first disk, MAC and sizes; everything else stays."""
    own = copy.deepcopy(root)
    texts = {
        "name": name,
        "uuid": str(uuid),
        "memory": str(memory_bytes // 1024),
        "currentMemory": str(memory_bytes // 1024),
        "vcpu": str(vcpus),
        "title": "",
        "description": "",
    }
    for tag, text in texts.items():
        found = own.find(tag)
        if found is not None:
            found.text = text
    for path, attribute, value in (("devices/disk/source", "file", disk), ("devices/interface/mac", "address", mac)):
        element = own.find(path)
        if element is not None:
            element.set(attribute, value)
    devices = need(own, "devices")
    for interface in devices.findall("interface")[1:]:
        devices.remove(interface)
    return serialise(own)
