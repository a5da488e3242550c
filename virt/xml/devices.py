"""Disks, CD drives and network interfaces of a VM: https://libvirt.org/formatdomain.html#devices"""

from dataclasses import dataclass

from lxml import etree

from virt.names import check_bridge, check_disk_target, check_mac, check_serial
from virt.xml.tree import Element, add, serialise


@dataclass(frozen=True)
class FileSource:
    """A file on the host, also one on shared storage that the host has mounted."""

    path: str


@dataclass(frozen=True)
class BlockSource:
    """A block device of the host, for example a logical volume."""

    path: str


@dataclass(frozen=True)
class VolumeSource:
    """A volume by the names of its pool and itself; libvirt finds the path when the VM starts."""

    pool: str
    volume: str


@dataclass(frozen=True)
class SourceHost:
    """A storage server; without a port the protocol's own is used."""

    name: str
    port: int | None = None


@dataclass(frozen=True)
class SourceAuth:
    """The login at a storage server: a secret that libvirt keeps, by UUID. kind is "ceph" or "iscsi"."""

    user_name: str
    kind: str
    secret_uuid: str


@dataclass(frozen=True)
class NetworkSource:
    """Storage that QEMU reaches itself. For gluster the name is "volume/path", for rbd "pool/image"."""

    protocol: str
    name: str
    hosts: tuple[SourceHost, ...] = ()
    auth: SourceAuth | None = None


Source = FileSource | BlockSource | VolumeSource | NetworkSource


@dataclass(frozen=True)
class DiskSpec:
    """A disk. Empty cache, io and discard leave the choice to QEMU."""

    source: Source
    target: str = "vda"
    bus: str = "virtio"
    format: str = "qcow2"
    cache: str = ""
    discard: str = "unmap"
    io: str = ""
    serial: str = ""
    is_readonly: bool = False
    is_shareable: bool = False


@dataclass(frozen=True)
class CdromSpec:
    """A CD drive; source None is an empty drive."""

    source: Source | None = None
    target: str = "sda"
    bus: str = "sata"


@dataclass(frozen=True)
class NicSpec:
    """A network interface: either `network` (a libvirt network) or `bridge` (an interface of the host)."""

    mac: str
    network: str = ""
    bridge: str = ""
    model: str = "virtio"
    is_link_up: bool = True
    mtu: int | None = None


_SOURCE_TYPES: dict[type, str] = {
    FileSource: "file",
    BlockSource: "block",
    VolumeSource: "volume",
    NetworkSource: "network",
}


def source_type(source: Source | None) -> str:
    """What <disk type=...> says for this source; an empty drive is of type file."""
    return "file" if source is None else _SOURCE_TYPES[type(source)]


def add_source(disk: Element, source: Source) -> Element:
    """Append <source> for `source`."""
    match source:
        case FileSource(path):
            return add(disk, "source", file=path)
        case BlockSource(path):
            return add(disk, "source", dev=path)
        case VolumeSource(pool, volume):
            return add(disk, "source", pool=pool, volume=volume)
        case NetworkSource(protocol, name, hosts, auth):
            element = add(disk, "source", protocol=protocol, name=name)
            for host in hosts:
                port = None if host.port is None else str(host.port)
                add(element, "host", name=host.name, port=port)
            if auth:
                login = add(element, "auth", username=auth.user_name)
                add(login, "secret", type=auth.kind, uuid=auth.secret_uuid)
            return element


def add_disk(devices: Element, spec: DiskSpec) -> Element:
    """Append <disk device='disk'>."""
    disk = add(devices, "disk", type=source_type(spec.source), device="disk")
    add(
        disk,
        "driver",
        name="qemu",
        type=spec.format,
        cache=spec.cache or None,
        io=spec.io or None,
        discard=spec.discard or None,
    )
    add_source(disk, spec.source)
    add(disk, "target", dev=check_disk_target(spec.target), bus=spec.bus)
    if spec.serial:
        add(disk, "serial", check_serial(spec.serial))
    if spec.is_readonly:
        add(disk, "readonly")
    if spec.is_shareable:
        add(disk, "shareable")
    return disk


def add_cdrom(devices: Element, spec: CdromSpec) -> Element:
    """Append <disk device='cdrom'>; it is always raw and read-only."""
    disk = add(devices, "disk", type=source_type(spec.source), device="cdrom")
    add(disk, "driver", name="qemu", type="raw")
    if spec.source is not None:
        add_source(disk, spec.source)
    add(disk, "target", dev=check_disk_target(spec.target), bus=spec.bus)
    add(disk, "readonly")
    return disk


def add_nic(devices: Element, spec: NicSpec) -> Element:
    """Append <interface>. Raises ValueError unless exactly one of network and bridge is given."""
    if bool(spec.network) == bool(spec.bridge):
        raise ValueError("an interface needs either a network or a bridge")
    nic = add(devices, "interface", type="network" if spec.network else "bridge")
    add(nic, "mac", address=check_mac(spec.mac))
    if spec.network:
        add(nic, "source", network=spec.network)
    else:
        add(nic, "source", bridge=check_bridge(spec.bridge))
    add(nic, "model", type=spec.model)
    if not spec.is_link_up:
        add(nic, "link", state="down")
    if spec.mtu is not None:
        add(nic, "mtu", size=str(spec.mtu))
    return nic


def build(spec: DiskSpec | CdromSpec | NicSpec) -> str:
    """One device as a document of its own, for attaching it to a running VM or taking it away."""
    devices = etree.Element("devices")
    match spec:
        case DiskSpec():
            return serialise(add_disk(devices, spec))
        case CdromSpec():
            return serialise(add_cdrom(devices, spec))
        case NicSpec():
            return serialise(add_nic(devices, spec))
