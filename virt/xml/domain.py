"""A VM's definition, built from a spec: https://libvirt.org/formatdomain.html

Reading is in `summary`, changing in `update`, comparing in `drift`.
"""

from dataclasses import dataclass, field

from lxml import etree

from virt.names import check_description, check_memory_bytes, check_title, check_uuid, check_vcpus
from virt.xml.cpu import CpuSpec, add_cpu
from virt.xml.devices import CdromSpec, DiskSpec, NicSpec, add_cdrom, add_disk, add_nic
from virt.xml.note import VmNote, add_note
from virt.xml.tree import Element, add, kib, serialise, yes_no

BOOT_DEVICES = {"disk": "hd", "cdrom": "cdrom", "network": "network"}
AGENT_CHANNEL = "org.qemu.guest_agent.0"


@dataclass(frozen=True)
class VncSpec:
    """VNC on an address of the host (a port is chosen at start), or on a unix socket (listen "socket")."""

    listen: str = "127.0.0.1"


@dataclass(frozen=True)
class DomainSpec:
    """A whole VM. domain_type "kvm" or "qemu" (emulated); machine "q35" or "pc"; firmware "bios" or "uefi".

    max_vcpus and max_memory_bytes leave room for growing while it runs; None is no more than at start.
    spare_ports are PCIe slots (q35) left for disks and interfaces that are plugged in later.
    """

    name: str
    uuid: str
    memory_bytes: int
    vcpus: int = 1
    title: str = ""
    description: str = ""
    max_vcpus: int | None = None
    max_memory_bytes: int | None = None
    domain_type: str = "kvm"
    arch: str = "x86_64"
    machine: str = "q35"
    firmware: str = "bios"
    is_secure_boot: bool = False
    boot: tuple[str, ...] = ("disk", "cdrom")
    cpu: CpuSpec = field(default_factory=CpuSpec)
    clock: str = "utc"
    disks: tuple[DiskSpec, ...] = ()
    cdroms: tuple[CdromSpec, ...] = ()
    nics: tuple[NicSpec, ...] = ()
    vnc: VncSpec | None = field(default_factory=VncSpec)
    video: str = "vga"
    has_serial: bool = True
    has_guest_agent: bool = True
    has_rng: bool = True
    has_balloon: bool = True
    has_tablet: bool = True
    spare_ports: int = 6
    note: VmNote = field(default_factory=VmNote)


def build(spec: DomainSpec) -> str:
    """The domain XML of `spec`. Raises ValueError for what cannot be; the host may still refuse it."""
    domain = etree.Element("domain", type=_one_of(spec.domain_type, ("kvm", "qemu", "test"), "domain type"))
    _add_identity(domain, spec)
    _add_size(domain, spec)
    _add_os(domain, spec)
    features = add(domain, "features")
    add(features, "acpi")
    if spec.arch in ("x86_64", "i686"):
        add(features, "apic")
    if spec.cpu.mode:
        add_cpu(domain, spec.cpu)
    _add_clock(domain, spec)
    add(domain, "on_poweroff", "destroy")
    add(domain, "on_reboot", "restart")
    add(domain, "on_crash", "destroy")
    if spec.arch in ("x86_64", "i686"):
        power = add(domain, "pm")
        add(power, "suspend-to-mem", enabled="no")
        add(power, "suspend-to-disk", enabled="no")
    _add_devices(domain, spec)
    return serialise(domain)


def _one_of(value: str, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _add_identity(domain: Element, spec: DomainSpec) -> None:
    if not spec.name:
        raise ValueError("a VM needs a name")
    add(domain, "name", spec.name)
    add(domain, "uuid", check_uuid(spec.uuid))
    if spec.title:
        add(domain, "title", check_title(spec.title))
    if spec.description:
        add(domain, "description", check_description(spec.description))
    add_note(domain, spec.note)


def _add_size(domain: Element, spec: DomainSpec) -> None:
    memory, most = check_memory_bytes(spec.memory_bytes), spec.max_memory_bytes or spec.memory_bytes
    vcpus, most_vcpus = check_vcpus(spec.vcpus), spec.max_vcpus or spec.vcpus
    if check_memory_bytes(most) < memory or check_vcpus(most_vcpus) < vcpus:
        raise ValueError("the maximum is smaller than what the VM starts with")
    add(domain, "memory", kib(most, "memory"), unit="KiB")
    add(domain, "currentMemory", kib(memory, "memory"), unit="KiB")
    current = str(vcpus) if vcpus != most_vcpus else None
    add(domain, "vcpu", str(most_vcpus), placement="static", current=current)


def _add_os(domain: Element, spec: DomainSpec) -> None:
    system = add(domain, "os")
    if _one_of(spec.firmware, ("bios", "uefi"), "firmware") == "uefi":
        system.set("firmware", "efi")
    add(system, "type", "hvm", arch=spec.arch, machine=spec.machine)
    if spec.firmware == "uefi":
        chosen = add(system, "firmware")
        for name in ("enrolled-keys", "secure-boot"):
            add(chosen, "feature", enabled=yes_no(spec.is_secure_boot), name=name)
    elif spec.is_secure_boot:
        raise ValueError("secure boot needs the firmware uefi")
    for device in spec.boot:
        if device not in BOOT_DEVICES:
            raise ValueError(f"unknown boot device: {device!r}")
        add(system, "boot", dev=BOOT_DEVICES[device])


def _add_clock(domain: Element, spec: DomainSpec) -> None:
    clock = add(domain, "clock", offset=_one_of(spec.clock, ("utc", "localtime"), "clock"))
    if spec.arch not in ("x86_64", "i686"):
        return
    add(clock, "timer", name="rtc", tickpolicy="catchup")
    add(clock, "timer", name="pit", tickpolicy="delay")
    add(clock, "timer", name="hpet", present="no")


def _add_devices(domain: Element, spec: DomainSpec) -> None:
    devices = add(domain, "devices")
    _refuse_twins(
        [*(disk.target for disk in spec.disks), *(cdrom.target for cdrom in spec.cdroms)],
        "two disks are called",
    )
    _refuse_twins([nic.mac.lower() for nic in spec.nics], "two interfaces have the MAC address")
    for disk in spec.disks:
        add_disk(devices, disk)
    for cdrom in spec.cdroms:
        add_cdrom(devices, cdrom)
    _add_controllers(devices, spec)
    for nic in spec.nics:
        add_nic(devices, nic)
    if spec.has_serial:
        _add_serial(devices, spec.arch)
    if spec.has_guest_agent:
        channel = add(devices, "channel", type="unix")
        add(channel, "target", type="virtio", name=AGENT_CHANNEL)
    _add_screen(devices, spec)
    if spec.has_balloon:
        add(add(devices, "memballoon", model="virtio"), "stats", period="10")
    else:
        add(devices, "memballoon", model="none")
    if spec.has_rng:
        rng = add(devices, "rng", model="virtio")
        add(rng, "backend", "/dev/urandom", model="random")


def _refuse_twins(values: list[str], words: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{words} {value}")


def _add_controllers(devices: Element, spec: DomainSpec) -> None:
    if spec.has_tablet:
        add(devices, "controller", type="usb", model="qemu-xhci")
    if "scsi" in {*(disk.bus for disk in spec.disks), *(cdrom.bus for cdrom in spec.cdroms)}:
        add(devices, "controller", type="scsi", model="virtio-scsi")
    if spec.machine not in ("q35", "virt") and not spec.machine.startswith(("pc-q35-", "virt-")):
        return
    add(devices, "controller", type="pci", index="0", model="pcie-root")
    # libvirt alone makes just enough slots for today's devices: nothing could be plugged in later
    for _ in range(_count_ports(spec) + spec.spare_ports):
        add(devices, "controller", type="pci", model="pcie-root-port")


def _count_ports(spec: DomainSpec) -> int:
    """How many devices of the spec sit in a PCIe slot; the screen and SATA are on the root."""
    virtio_disks = sum(disk.bus == "virtio" for disk in spec.disks)
    has_scsi = any(disk.bus == "scsi" for disk in spec.disks) or any(drive.bus == "scsi" for drive in spec.cdroms)
    single = (spec.has_tablet, spec.has_guest_agent, spec.has_balloon, spec.has_rng, has_scsi)
    return virtio_disks + len(spec.nics) + sum(single)


def _add_serial(devices: Element, arch: str) -> None:
    add(add(devices, "serial", type="pty"), "target", port="0")
    console = add(devices, "console", type="pty")
    add(console, "target", type="serial", port="0")


def _add_screen(devices: Element, spec: DomainSpec) -> None:
    if spec.has_tablet:
        add(devices, "input", type="tablet", bus="usb")
    if spec.vnc is None:
        add(add(devices, "video"), "model", type="none")
        return
    if spec.vnc.listen == "socket":
        add(add(devices, "graphics", type="vnc"), "listen", type="socket")
    else:
        graphics = add(devices, "graphics", type="vnc", port="-1", autoport="yes", listen=spec.vnc.listen)
        add(graphics, "listen", type="address", address=spec.vnc.listen)
    add(add(devices, "video"), "model", type=spec.video)
