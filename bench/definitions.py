"""Definitions of 8 kB as hosts return them, one for each VM of the large cluster: the project's own sample, renamed."""

import copy
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from virt.xml.tree import Element, add, parse_document, serialise

SAMPLES = Path(__file__).resolve().parent.parent / "tests" / "data" / "xml"


class Files(NamedTuple):
    """The paths of a VM's disk, of its second disk, of its seed, and of the image below the first."""

    disk: str
    data: str
    seed: str
    image: str


def sample(name: str) -> Element:
    return parse_document((SAMPLES / f"{name}.xml").read_text(), "domain")


def need(root: Element, path: str) -> Element:
    """The element at a path, which must be there."""
    found = root.find(path)
    if found is None:
        raise AssertionError(f"no {path} in <{root.tag}>")
    return found


def renamed(root: Element, name: str, uuid: UUID, mac: str, files: Files, memory_bytes: int, vcpus: int) -> str:
    """The definition of another VM: its name, files, MAC and sizes; everything else stays."""
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
    _add_interface(need(own, "devices"), mac)
    for path, file in zip(("disk[1]/source", "disk[2]/source", "disk[3]/source"), files, strict=False):
        need(own, f"devices/{path}").set("file", file)
    for below in own.iterfind("devices/disk/backingStore/source"):
        below.set("file", files.image)
    return serialise(own)


def _add_interface(devices: Element, mac: str) -> None:
    interface = add(devices, "interface", type="bridge")
    add(interface, "mac", address=mac)
    add(interface, "source", bridge="br0")
    add(interface, "target", dev="vnet0")
    add(interface, "model", type="virtio")
