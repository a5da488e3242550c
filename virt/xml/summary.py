"""What a domain XML says, live or inactive, in the words the pages use."""

from collections.abc import Iterator
from dataclasses import dataclass

from virt.xml.cpu import CpuSpec, cpu_of
from virt.xml.domain import AGENT_CHANNEL
from virt.xml.note import VmNote, note_of
from virt.xml.tree import Element, attribute, bytes_of, get, number, parse_document, text_of

_MAX_CHAIN = 200


@dataclass(frozen=True)
class SourceSummary:
    """Where a disk's bytes lie. kind: file, block, volume, network, dir, nvme... or "" for an empty drive.

    `path` is the file or device (on a live VM also of a volume); `name` is the network source's name
    ("volume/path" on gluster), `protocol` and `hosts` go with it.
    """

    kind: str = ""
    path: str = ""
    pool: str = ""
    volume: str = ""
    protocol: str = ""
    name: str = ""
    hosts: tuple[str, ...] = ()
    format: str = ""

    @property
    def place(self) -> str:
        """One text for people: the path, pool/volume or protocol://host/name; empty for an empty drive."""
        if self.path:
            return self.path
        if self.pool:
            return f"{self.pool}/{self.volume}"
        if self.protocol:
            return f"{self.protocol}://{','.join(self.hosts)}/{self.name.lstrip('/')}"
        return ""


@dataclass(frozen=True)
class DiskSummary:
    """device: disk, cdrom, floppy or lun. `backing` is the chain below the source, nearest first."""

    device: str
    target: str
    bus: str
    source: SourceSummary
    backing: tuple[SourceSummary, ...] = ()
    serial: str = ""
    cache: str = ""
    is_readonly: bool = False
    is_shareable: bool = False
    is_transient: bool = False


@dataclass(frozen=True)
class NicSummary:
    """kind: network, bridge, direct, hostdev, user, ethernet... `source` is the network, bridge or device."""

    mac: str
    kind: str
    source: str
    model: str = ""
    target: str = ""
    is_link_up: bool = True
    bridge: str = ""


@dataclass(frozen=True)
class GraphicsSummary:
    """port is None while the VM is off or if it listens on a socket; `socket` is the path of that."""

    kind: str
    listen: str = ""
    port: int | None = None
    tls_port: int | None = None
    socket: str = ""


@dataclass(frozen=True)
class SerialSummary:
    """kind: pty, unix, tcp, file... `path` is there while the VM runs."""

    kind: str
    path: str = ""
    port: int = 0
    alias: str = ""


@dataclass(frozen=True)
class PassthroughSummary:
    """A device of the host given to the VM: kind pci, usb, mdev, scsi...; such a VM cannot move."""

    kind: str
    address: str


@dataclass(frozen=True)
class DomainSummary:
    """firmware: bios or uefi. is_live is True for the XML of a running VM."""

    name: str
    uuid: str
    title: str
    description: str
    note: VmNote
    domain_type: str
    arch: str
    machine: str
    vcpus: int
    max_vcpus: int
    memory_bytes: int
    max_memory_bytes: int
    cpu: CpuSpec
    firmware: str
    boot: tuple[str, ...]
    disks: tuple[DiskSummary, ...]
    nics: tuple[NicSummary, ...]
    graphics: tuple[GraphicsSummary, ...]
    serials: tuple[SerialSummary, ...]
    passthrough: tuple[PassthroughSummary, ...]
    shared_folders: tuple[str, ...]
    video: str
    has_guest_agent: bool
    has_tpm: bool
    is_live: bool


def parse(xml: str) -> DomainSummary:
    """Read a domain XML from any libvirt. Raises BadXml; what it does not know is left out."""
    domain = parse_document(xml, "domain")
    memory = bytes_of(domain.find("memory"))
    current = domain.find("currentMemory")
    vcpu = domain.find("vcpu")
    max_vcpus = 1 if vcpu is None else number(vcpu.text or "1", "vcpu")
    return DomainSummary(
        name=text_of(domain, "name"),
        uuid=text_of(domain, "uuid").strip().lower(),
        title=text_of(domain, "title"),
        description=text_of(domain, "description"),
        note=note_of(domain),
        domain_type=domain.get("type", ""),
        arch=attribute(domain, "os/type", "arch"),
        machine=attribute(domain, "os/type", "machine"),
        vcpus=max_vcpus if vcpu is None else number(vcpu.get("current", str(max_vcpus)), "vcpu"),
        max_vcpus=max_vcpus,
        memory_bytes=memory if current is None else bytes_of(current),
        max_memory_bytes=memory,
        cpu=cpu_of(domain.find("cpu")),
        firmware=_firmware(domain),
        boot=_boot(domain),
        disks=tuple(_disk(disk) for disk in domain.iterfind("devices/disk")),
        nics=tuple(_nic(nic) for nic in domain.iterfind("devices/interface")),
        graphics=tuple(_graphics(element) for element in domain.iterfind("devices/graphics")),
        serials=tuple(_serial(element) for element in domain.iterfind("devices/serial")),
        passthrough=tuple(_passthrough(domain)),
        shared_folders=tuple(attribute(fs, "target", "dir") for fs in domain.iterfind("devices/filesystem")),
        video=attribute(domain, "devices/video/model", "type"),
        has_guest_agent=any(
            target.get("name") == AGENT_CHANNEL for target in domain.iterfind("devices/channel/target")
        ),
        has_tpm=domain.find("devices/tpm") is not None,
        is_live=domain.get("id") is not None,
    )


def _firmware(domain: Element) -> str:
    if attribute(domain, "os", "firmware") == "efi" or attribute(domain, "os/loader", "type") == "pflash":
        return "uefi"
    return "bios"


def _boot(domain: Element) -> tuple[str, ...]:
    """The order in words: disk, cdrom, network; with an order per device, the targets and MACs."""
    words = {"hd": "disk"}
    devices = [boot.get("dev", "") for boot in domain.iterfind("os/boot")]
    if devices:
        return tuple(words.get(device, device) for device in devices)
    ordered: list[tuple[int, str]] = []
    for boot in domain.iterfind("devices/*/boot"):
        device = boot.getparent()
        if device is not None:
            name = attribute(device, "target", "dev") if device.tag == "disk" else attribute(device, "mac", "address")
            ordered.append((number(boot.get("order", "0"), "boot order"), name))
    return tuple(name for _, name in sorted(ordered))


def _source(kind: str, source: Element | None, disk_format: str) -> SourceSummary:
    if source is None:
        return SourceSummary(format=disk_format)
    hosts = tuple(get(host, "name", get(host, "socket")) for host in source.iterchildren("host"))
    return SourceSummary(
        kind=kind,
        path=source.get("file") or source.get("dev") or source.get("dir") or "",
        pool=source.get("pool", ""),
        volume=source.get("volume", ""),
        protocol=source.get("protocol", ""),
        name=source.get("name", ""),
        hosts=hosts,
        format=disk_format,
    )


def _chain(disk: Element) -> Iterator[SourceSummary]:
    layer = disk.find("backingStore")
    for _ in range(_MAX_CHAIN):
        # an empty <backingStore/> says that the chain ends here
        if layer is None or layer.find("source") is None:
            return
        yield _source(layer.get("type", ""), layer.find("source"), attribute(layer, "format", "type"))
        layer = layer.find("backingStore")


def _disk(disk: Element) -> DiskSummary:
    source = disk.find("source")
    if source is not None and not source.attrib:
        source = None
    return DiskSummary(
        device=disk.get("device", "disk"),
        target=attribute(disk, "target", "dev"),
        bus=attribute(disk, "target", "bus"),
        source=_source(disk.get("type", ""), source, attribute(disk, "driver", "type")),
        backing=tuple(_chain(disk)),
        serial=text_of(disk, "serial"),
        cache=attribute(disk, "driver", "cache"),
        is_readonly=disk.find("readonly") is not None,
        is_shareable=disk.find("shareable") is not None,
        is_transient=disk.find("transient") is not None,
    )


def _nic(nic: Element) -> NicSummary:
    kind = nic.get("type", "")
    keys = {"network": "network", "bridge": "bridge", "direct": "dev", "vdpa": "dev"}
    source = attribute(nic, "source", keys.get(kind, "path"))
    if kind == "hostdev":
        source = _pci_address(nic.find("source/address"))
    return NicSummary(
        mac=attribute(nic, "mac", "address").lower(),
        kind=kind,
        source=source,
        model=attribute(nic, "model", "type"),
        target=attribute(nic, "target", "dev"),
        is_link_up=attribute(nic, "link", "state") != "down",
        bridge=attribute(nic, "source", "bridge"),
    )


def _port(text: str | None) -> int | None:
    value = number(text, "port") if text else -1
    return value if value > 0 else None


def _graphics(graphics: Element) -> GraphicsSummary:
    kind = attribute(graphics, "listen", "type")
    socket = get(graphics, "socket", attribute(graphics, "listen", "socket"))
    address = attribute(graphics, "listen", "address")
    return GraphicsSummary(
        kind=graphics.get("type", ""),
        listen="" if kind == "socket" else address or graphics.get("listen", ""),
        port=_port(graphics.get("port")),
        tls_port=_port(graphics.get("tlsPort")),
        socket=socket,
    )


def _serial(serial: Element) -> SerialSummary:
    return SerialSummary(
        kind=serial.get("type", ""),
        path=attribute(serial, "source", "path") or serial.get("tty", ""),
        port=number(attribute(serial, "target", "port") or "0", "serial port"),
        alias=attribute(serial, "alias", "name"),
    )


def _pci_address(address: Element | None) -> str:
    if address is None:
        return ""
    part = [address.get(name, "0x0").removeprefix("0x") for name in ("domain", "bus", "slot", "function")]
    return f"{part[0]:0>4}:{part[1]:0>2}:{part[2]:0>2}.{part[3]}"


def _passthrough(domain: Element) -> Iterator[PassthroughSummary]:
    for device in domain.iterfind("devices/hostdev"):
        kind = get(device, "type", get(device, "mode"))
        address = device.find("source/address")
        if kind == "pci":
            text = _pci_address(address)
        elif kind == "mdev":
            text = "" if address is None else address.get("uuid", "")
        elif kind == "usb":
            text = _usb_address(device)
        else:
            text = attribute(device, "source/adapter", "name")
        yield PassthroughSummary(kind, text)
    for nic in domain.iterfind("devices/interface[@type='hostdev']"):
        yield PassthroughSummary("pci", _pci_address(nic.find("source/address")))


def _usb_address(device: Element) -> str:
    vendor, product = attribute(device, "source/vendor", "id"), attribute(device, "source/product", "id")
    if vendor or product:
        return f"{vendor.removeprefix('0x')}:{product.removeprefix('0x')}"
    bus, number_on_bus = (
        attribute(device, "source/address", "bus"),
        attribute(device, "source/address", "device"),
    )
    return f"bus {bus} device {number_on_bus}"
