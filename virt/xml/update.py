"""Changing a domain XML: XML in, XML out; everything that is not known here is kept as it is."""

from collections.abc import Mapping

from virt.names import (
    check_bridge,
    check_description,
    check_mac,
    check_memory_bytes,
    check_title,
    check_vcpus,
)
from virt.xml.cpu import CpuSpec, add_cpu
from virt.xml.devices import (
    BlockSource,
    CdromSpec,
    DiskSpec,
    FileSource,
    NicSpec,
    Source,
    add_cdrom,
    add_disk,
    add_nic,
    add_source,
    source_type,
)
from virt.xml.domain import BOOT_DEVICES
from virt.xml.note import VmNote, add_note
from virt.xml.tree import (
    BadXml,
    Element,
    add,
    attribute,
    bytes_of,
    detach,
    drop,
    elements,
    kib,
    number,
    parse_document,
    serialise,
    set_child_text,
)

_NUMA = "this VM has several NUMA cells: change its {} in the definition, cell by cell"


class NotFound(ValueError):
    """The disk or interface to change is not in the definition."""


def set_vcpus(xml: str, vcpus: int, max_vcpus: int | None = None) -> str:
    """Set the CPUs it starts with, and the maximum (None: keeps it, unless it is too small).

    A topology that does not fit the new maximum is removed, as libvirt would refuse it.
    """
    domain = parse_document(xml, "domain")
    vcpu = domain.find("vcpu")
    if vcpu is None:
        vcpu = add(domain, "vcpu", "1", placement="static")
    most = max(check_vcpus(vcpus), number(vcpu.text or "1", "vcpu")) if max_vcpus is None else check_vcpus(max_vcpus)
    if most < vcpus:
        raise ValueError("the maximum is smaller than the number of CPUs")
    if len(domain.findall("cpu/numa/cell")) > 1 and number(vcpu.text or "1", "vcpu") != most:
        raise ValueError(_NUMA.format("CPUs"))
    vcpu.text = str(most)
    if most == vcpus:
        drop(vcpu, "current")
    else:
        vcpu.set("current", str(vcpus))
    _fit_cpu_layout(domain, most)
    return serialise(domain)


def _fit_cpu_layout(domain: Element, most: int) -> None:
    """Make what speaks of single CPUs fit a maximum of `most`."""
    for stale in domain.findall("vcpus"):
        domain.remove(stale)
    for pin in domain.findall("cputune/vcpupin"):
        if number(pin.get("vcpu", "0"), "vcpupin") >= most:
            detach(pin)
    topology = domain.find("cpu/topology")
    if topology is not None:
        sizes = [number(topology.get(name, "1"), name) for name in ("sockets", "dies", "cores", "threads")]
        if sizes[0] * sizes[1] * sizes[2] * sizes[3] != most:
            detach(topology)
    cells = domain.findall("cpu/numa/cell")
    if len(cells) == 1:
        cells[0].set("cpus", f"0-{most - 1}" if most > 1 else "0")


def set_memory(xml: str, memory_bytes: int, max_memory_bytes: int | None = None) -> str:
    """Set the memory it starts with, and the maximum (None: the same)."""
    domain = parse_document(xml, "domain")
    most = check_memory_bytes(memory_bytes if max_memory_bytes is None else max_memory_bytes)
    if check_memory_bytes(memory_bytes) > most:
        raise ValueError("the maximum is smaller than the memory")
    cells = domain.findall("cpu/numa/cell")
    if len(cells) > 1:
        raise ValueError(_NUMA.format("memory"))
    for cell in cells:
        # with NUMA libvirt takes the memory from here and not from <memory>
        cell.set("memory", kib(most, "memory"))
        cell.set("unit", "KiB")
    for tag, size in (("memory", most), ("currentMemory", memory_bytes)):
        set_child_text(domain, tag, kib(size, tag))
        element = domain.find(tag)
        if element is not None:
            element.set("unit", "KiB")
    limit = domain.find("maxMemory")
    if limit is not None and bytes_of(limit) < most:
        limit.text, limit.attrib["unit"] = kib(most, "maxMemory"), "KiB"
    return serialise(domain)


def set_title(xml: str, title: str) -> str:
    """Set the one-line title; an empty one removes it."""
    domain = parse_document(xml, "domain")
    set_child_text(domain, "title", check_title(title) or None)
    return serialise(domain)


def set_description(xml: str, description: str) -> str:
    """Set the description; an empty one removes it."""
    domain = parse_document(xml, "domain")
    set_child_text(domain, "description", check_description(description) or None)
    return serialise(domain)


def set_note(xml: str, note: VmNote) -> str:
    """Set Drover's own note in <metadata>; other programs' metadata stays."""
    domain = parse_document(xml, "domain")
    add_note(domain, note)
    return serialise(domain)


def set_cpu(xml: str, cpu: CpuSpec) -> str:
    """Replace <cpu>; a topology or NUMA layout it had is kept if `cpu` brings none."""
    domain = parse_document(xml, "domain")
    old = domain.find("cpu")
    new = add_cpu(domain, cpu)
    if old is None:
        return serialise(domain)
    for tag in ("topology", "numa"):
        kept = old.find(tag)
        if kept is not None and new.find(tag) is None:
            new.append(kept)
    domain.replace(old, new)
    return serialise(domain)


def set_boot(xml: str, boot: tuple[str, ...]) -> str:
    """Set the boot order by kind (disk, cdrom, network); an order per device is removed."""
    domain = parse_document(xml, "domain")
    system = domain.find("os")
    if system is None:
        raise BadXml("the VM has no <os>")
    for old in [*system.findall("boot"), *domain.findall("devices/*/boot")]:
        detach(old)
    for device in boot:
        if device not in BOOT_DEVICES:
            raise ValueError(f"unknown boot device: {device!r}")
        add(system, "boot", dev=BOOT_DEVICES[device])
    return serialise(domain)


def add_device(xml: str, spec: DiskSpec | CdromSpec | NicSpec) -> str:
    """Add a disk, CD drive or interface. Raises ValueError if its target or MAC is taken."""
    domain = parse_document(xml, "domain")
    devices = _devices(domain)
    if isinstance(spec, NicSpec):
        if _find_nic(devices, spec.mac) is not None:
            raise ValueError(f"the VM already has an interface with the MAC address {spec.mac}")
        _put(devices, add_nic(devices, spec))
        return serialise(domain)
    if _find_disk(devices, spec.target) is not None:
        raise ValueError(f"the VM already has a disk {spec.target}")
    disk = add_disk(devices, spec) if isinstance(spec, DiskSpec) else add_cdrom(devices, spec)
    _put(devices, disk)
    return serialise(domain)


def remove_disk(xml: str, target: str) -> str:
    """Remove a disk or CD drive by its target (vdb). Raises NotFound."""
    domain = parse_document(xml, "domain")
    detach(_disk(domain, target))
    return serialise(domain)


def remove_nic(xml: str, mac: str) -> str:
    """Remove an interface by its MAC address. Raises NotFound."""
    domain = parse_document(xml, "domain")
    detach(_nic(domain, mac))
    return serialise(domain)


def device_xml(xml: str, *, target: str = "", mac: str = "") -> str:
    """The device as it stands in the definition, for detaching or updating it live. Raises NotFound."""
    domain = parse_document(xml, "domain")
    return serialise(_disk(domain, target) if target else _nic(domain, mac))


def set_medium(xml: str, target: str, source: Source | None) -> str:
    """Put a medium into a CD or floppy drive, or take it out (None). Raises NotFound."""
    domain = parse_document(xml, "domain")
    disk = _disk(domain, target)
    if disk.get("device") not in ("cdrom", "floppy"):
        raise NotFound(f"{target} is not a drive with a medium")
    _replace_source(disk, source)
    return serialise(domain)


def set_disk_source(xml: str, target: str, source: Source) -> str:
    """Point a disk to another source, for example to its copy on the host it moves to. Raises NotFound."""
    domain = parse_document(xml, "domain")
    _replace_source(_disk(domain, target), source)
    return serialise(domain)


def _replace_source(disk: Element, source: Source | None) -> None:
    disk.set("type", source_type(source))
    # the chain, mirror and index belong to the old source
    for tag in ("source", "backingStore", "mirror"):
        for old in disk.findall(tag):
            disk.remove(old)
    if source is not None:
        element = add_source(disk, source)
        disk.remove(element)
        disk.insert(1 if disk.find("driver") is not None else 0, element)


def replace_paths(xml: str, paths: Mapping[str, str]) -> str:
    """Replace paths of disks' files and devices, whole paths only; a changed disk loses its chain."""
    domain = parse_document(xml, "domain")
    for disk in domain.iterfind("devices/disk"):
        source = disk.find("source")
        if source is None:
            continue
        for key, kind in (("file", FileSource), ("dev", BlockSource)):
            new = paths.get(source.get(key, ""))
            if new is not None:
                _replace_source(disk, kind(new))
    return serialise(domain)


def set_nic_source(xml: str, mac: str, *, network: str = "", bridge: str = "") -> str:
    """Join an interface to a network or to a bridge (exactly one). Raises NotFound."""
    if bool(network) == bool(bridge):
        raise ValueError("an interface needs either a network or a bridge")
    domain = parse_document(xml, "domain")
    nic = _nic(domain, mac)
    nic.set("type", "network" if network else "bridge")
    # a port of Open vSwitch and the name of the host's end belong to the old side
    for tag in ("source", "virtualport", "target"):
        for old in nic.findall(tag):
            nic.remove(old)
    source = add(nic, "source", network=network) if network else add(nic, "source", bridge=check_bridge(bridge))
    mac_address = nic.find("mac")
    if mac_address is not None:
        mac_address.addnext(source)
    return serialise(domain)


def set_nic_link(xml: str, mac: str, *, is_up: bool) -> str:
    """Plug an interface's cable in or out. Raises NotFound."""
    domain = parse_document(xml, "domain")
    nic = _nic(domain, mac)
    for old in nic.findall("link"):
        nic.remove(old)
    if not is_up:
        add(nic, "link", state="down")
    return serialise(domain)


def set_graphics_listen(xml: str, address: str) -> str:
    """Let every VNC and SPICE server listen on `address` of its host, on a port chosen at start.

    Sockets stay sockets. Also for migration: the target cannot bind to the source's own address.
    """
    domain = parse_document(xml, "domain")
    for graphics in domain.iterfind("devices/graphics"):
        listen = graphics.find("listen")
        if graphics.get("socket") or (listen is not None and listen.get("type") in ("socket", "none")):
            continue
        for old in graphics.findall("listen"):
            graphics.remove(old)
        graphics.set("listen", address)
        add(graphics, "listen", type="address", address=address)
        if graphics.get("autoport") == "yes":
            graphics.set("port", "-1")
            drop(graphics, "tlsPort")
    return serialise(domain)


def _devices(domain: Element) -> Element:
    devices = domain.find("devices")
    return add(domain, "devices") if devices is None else devices


def _put(devices: Element, new: Element) -> None:
    """Move `new` behind the last device of its kind, so that definitions stay readable."""
    same = [device for device in elements(devices) if device.tag == new.tag and device is not new]
    if same:
        same[-1].addnext(new)


def _find_disk(devices: Element, target: str) -> Element | None:
    for disk in devices.iterchildren("disk"):
        if attribute(disk, "target", "dev") == target:
            return disk
    return None


def _find_nic(devices: Element, mac: str) -> Element | None:
    wanted = check_mac(mac)
    for nic in devices.iterchildren("interface"):
        if attribute(nic, "mac", "address").lower() == wanted:
            return nic
    return None


def _disk(domain: Element, target: str) -> Element:
    found = _find_disk(_devices(domain), target)
    if found is None:
        raise NotFound(f"the VM has no disk {target}")
    return found


def _nic(domain: Element, mac: str) -> Element:
    found = _find_nic(_devices(domain), mac)
    if found is None:
        raise NotFound(f"the VM has no interface with the MAC address {mac}")
    return found
