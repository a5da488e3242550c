"""Volumes of a pool: https://libvirt.org/formatstorage.html#storage-volume-xml"""

from dataclasses import dataclass

from lxml import etree

from virt.names import check_disk_bytes
from virt.xml.tree import add, attribute, bytes_of, parse_document, serialise, text_of

FORMATS = ("raw", "qcow2")


@dataclass(frozen=True)
class VolumeSpec:
    """A volume to make. With backing_path it is a copy-on-write overlay (qcow2 only).

    is_file: room for a file that is stored as it is (a seed, an image on its way in): raw, from one byte on.

    allocation_bytes 0 takes no room in advance. For qcow2 with its tables made in advance, give
    VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA to vol create: the XML has no word for it.
    """

    name: str
    capacity_bytes: int
    allocation_bytes: int = 0
    format: str = "qcow2"
    backing_path: str = ""
    backing_format: str = ""
    mode: str = ""
    owner: int | None = None
    group: int | None = None
    cluster_size_bytes: int | None = None
    is_file: bool = False


@dataclass(frozen=True)
class VolumeSummary:
    """kind: file, block, dir, network, netdir. path is what a VM is given; key is libvirt's own identity."""

    name: str
    key: str
    kind: str
    path: str
    format: str
    capacity_bytes: int
    allocation_bytes: int
    physical_bytes: int = 0
    backing_path: str = ""
    backing_format: str = ""
    is_encrypted: bool = False


def build(spec: VolumeSpec) -> str:
    """The volume XML. Raises ValueError for what cannot be."""
    if spec.format not in FORMATS:
        raise ValueError(f"a volume's format is raw or qcow2, not {spec.format!r}")
    if spec.backing_path and (spec.format != "qcow2" or spec.backing_format not in FORMATS):
        raise ValueError("an overlay is qcow2 and names the format of what it stands on")
    volume = etree.Element("volume")
    add(volume, "name", spec.name)
    is_small_file = spec.is_file and spec.format == "raw" and 0 < spec.capacity_bytes < 1024**2
    capacity_bytes = spec.capacity_bytes if is_small_file else check_disk_bytes(spec.capacity_bytes)
    add(volume, "capacity", str(capacity_bytes), unit="bytes")
    if spec.allocation_bytes < 0 or spec.allocation_bytes > spec.capacity_bytes:
        raise ValueError("the allocation must lie between 0 and the capacity")
    add(volume, "allocation", str(spec.allocation_bytes), unit="bytes")
    target = add(volume, "target")
    add(target, "format", type=spec.format)
    if spec.mode or spec.owner is not None or spec.group is not None:
        permissions = add(target, "permissions")
        for tag, value in (("mode", spec.mode), ("owner", spec.owner), ("group", spec.group)):
            if value not in ("", None):
                add(permissions, tag, str(value))
    if spec.format == "qcow2":
        add(target, "compat", "1.1")
        if spec.cluster_size_bytes is not None:
            add(target, "clusterSize", str(spec.cluster_size_bytes), unit="B")
    if spec.backing_path:
        backing = add(volume, "backingStore")
        add(backing, "path", spec.backing_path)
        add(backing, "format", type=spec.backing_format)
    return serialise(volume)


def parse(xml: str) -> VolumeSummary:
    """Read a volume XML. Raises BadXml."""
    volume = parse_document(xml, "volume")
    return VolumeSummary(
        name=text_of(volume, "name"),
        key=text_of(volume, "key"),
        kind=volume.get("type", "file"),
        path=text_of(volume, "target/path"),
        format=attribute(volume, "target/format", "type"),
        capacity_bytes=bytes_of(volume.find("capacity"), default_unit="bytes"),
        allocation_bytes=bytes_of(volume.find("allocation"), default_unit="bytes"),
        physical_bytes=bytes_of(volume.find("physical"), default_unit="bytes"),
        backing_path=text_of(volume, "backingStore/path"),
        backing_format=attribute(volume, "backingStore/format", "type"),
        is_encrypted=volume.find("target/encryption") is not None,
    )
