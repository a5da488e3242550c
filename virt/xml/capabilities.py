"""What a host can run: https://libvirt.org/formatcaps.html and https://libvirt.org/formatdomaincaps.html"""

from collections.abc import Sequence
from dataclasses import dataclass

from virt.xml.cpu import CpuSpec, Topology, cpu_of
from virt.xml.tree import Element, attribute, bytes_of, number, parse_document, serialise, text_of


@dataclass(frozen=True)
class GuestSupport:
    """One architecture that the host can run. A listed "kvm" only says that QEMU was built with it."""

    arch: str
    os_type: str
    emulator: str
    domain_types: tuple[str, ...]
    machines: tuple[str, ...]


@dataclass(frozen=True)
class HostCapabilities:
    """cpu is the real CPU; cpu_xml its element for conn.baselineCPU and compareCPU, "" if it is unknown."""

    host_uuid: str
    arch: str
    cpu: CpuSpec
    cpu_xml: str
    topology: Topology
    cpu_count: int
    memory_bytes: int
    has_iommu: bool
    can_migrate_live: bool
    migration_transports: tuple[str, ...]
    security_models: tuple[str, ...]
    guests: tuple[GuestSupport, ...]

    def guest(self, arch: str) -> GuestSupport | None:
        """What the host offers for full virtualisation of `arch`."""
        return next((guest for guest in self.guests if guest.arch == arch and guest.os_type == "hvm"), None)


@dataclass(frozen=True)
class CpuModel:
    """A named CPU model. is_usable None: libvirt cannot tell."""

    name: str
    is_usable: bool | None
    vendor: str = ""
    is_deprecated: bool = False


@dataclass(frozen=True)
class DomainCapabilities:
    """What VMs of one domain type and machine can have here. firmware holds "bios" and, if usable, "uefi".

    has_tpm is about an emulated one.
    host_model_xml is the <cpu> for conn.baselineHypervisorCPU; "" if host-model is not supported.
    """

    domain_type: str
    arch: str
    machine: str
    emulator: str
    max_vcpus: int
    firmware: tuple[str, ...]
    has_secure_boot: bool
    cpu_modes: tuple[str, ...]
    cpu_models: tuple[CpuModel, ...]
    host_model: CpuSpec | None
    host_model_xml: str
    disk_buses: tuple[str, ...]
    graphics: tuple[str, ...]
    video: tuple[str, ...]
    has_tpm: bool

    @property
    def usable_models(self) -> tuple[str, ...]:
        """The names of the CPU models that work here."""
        return tuple(model.name for model in self.cpu_models if model.is_usable)


@dataclass(frozen=True)
class NodeInfo:
    """conn.getInfo() in our units."""

    cpu_arch: str
    memory_bytes: int
    cpu_count: int
    mhz: int
    numa_nodes: int
    sockets: int
    cores: int
    threads: int


def node_info(values: Sequence[str | int]) -> NodeInfo:
    """Out of conn.getInfo(), whose memory is in MiB in Python (KiB in C)."""
    arch, *sizes = values
    memory_mib, cpus, mhz, nodes, sockets, cores, threads = (int(size) for size in sizes)
    return NodeInfo(str(arch), memory_mib * 1024**2, cpus, mhz, nodes, sockets, cores, threads)


def parse(xml: str) -> HostCapabilities:
    """Read conn.getCapabilities(). Raises BadXml."""
    root = parse_document(xml, "capabilities")
    cpu = root.find("host/cpu")
    cells = "host/topology/cells/cell"
    return HostCapabilities(
        host_uuid=text_of(root, "host/uuid").strip().lower(),
        arch=text_of(root, "host/cpu/arch"),
        cpu=cpu_of(cpu),
        cpu_xml="" if cpu is None or cpu.find("model") is None else serialise(cpu),
        topology=cpu_of(cpu).topology or Topology(),
        cpu_count=len(root.findall(f"{cells}/cpus/cpu")),
        memory_bytes=sum(bytes_of(memory) for memory in root.iterfind(f"{cells}/memory")),
        has_iommu=attribute(root, "host/iommu", "support") == "yes",
        can_migrate_live=root.find("host/migration_features/live") is not None,
        migration_transports=_texts(root, "host/migration_features/uri_transports/uri_transport"),
        security_models=_texts(root, "host/secmodel/model"),
        guests=tuple(_guest(guest) for guest in root.iterfind("guest")),
    )


def _texts(root: Element, path: str) -> tuple[str, ...]:
    return tuple((element.text or "").strip() for element in root.iterfind(path))


def _guest(guest: Element) -> GuestSupport:
    machines: dict[str, None] = {}
    for machine in guest.iterfind("arch/machine"):
        machines[(machine.text or "").strip()] = None
        if machine.get("canonical"):
            machines[machine.get("canonical", "")] = None
    return GuestSupport(
        arch=attribute(guest, "arch", "name"),
        os_type=text_of(guest, "os_type"),
        emulator=text_of(guest, "arch/emulator"),
        domain_types=tuple(domain.get("type", "") for domain in guest.iterfind("arch/domain")),
        machines=tuple(machines),
    )


def parse_domain(xml: str) -> DomainCapabilities:
    """Read conn.getDomainCapabilities(). Raises BadXml."""
    root = parse_document(xml, "domainCapabilities")
    host_model = root.find("cpu/mode[@name='host-model'][@supported='yes']")
    model_xml = "" if host_model is None else _host_model_xml(host_model)
    vcpu = attribute(root, "vcpu", "max")
    has_uefi = "efi" in _values(root, "os/enum[@name='firmware']")
    return DomainCapabilities(
        domain_type=text_of(root, "domain"),
        arch=text_of(root, "arch"),
        machine=text_of(root, "machine"),
        emulator=text_of(root, "path"),
        max_vcpus=number(vcpu, "vcpu max") if vcpu else 0,
        firmware=("bios", "uefi") if has_uefi else ("bios",),
        has_secure_boot="yes" in _values(root, "os/loader/enum[@name='secure']"),
        cpu_modes=tuple(mode.get("name", "") for mode in root.iterfind("cpu/mode") if mode.get("supported") == "yes"),
        cpu_models=tuple(_cpu_model(model) for model in root.iterfind("cpu/mode[@name='custom']/model")),
        host_model=cpu_of(parse_document(model_xml, "cpu")) if model_xml else None,
        host_model_xml=model_xml,
        disk_buses=_values(root, "devices/disk/enum[@name='bus']"),
        graphics=_values(root, "devices/graphics/enum[@name='type']"),
        video=_values(root, "devices/video/enum[@name='modelType']"),
        has_tpm="emulator" in _values(root, "devices/tpm/enum[@name='backendModel']"),
    )


def _values(root: Element, path: str) -> tuple[str, ...]:
    return _texts(root, f"{path}/value")


def _host_model_xml(mode: Element) -> str:
    """The mode's content as a <cpu> that baselineHypervisorCPU takes."""
    if mode.find("model") is None:
        return ""
    cpu = parse_document("<cpu mode='custom' match='exact'/>", "cpu")
    cpu.extend(list(mode))
    return serialise(cpu)


def _cpu_model(model: Element) -> CpuModel:
    usable = {"yes": True, "no": False}.get(model.get("usable", "unknown"))
    return CpuModel(
        name=(model.text or "").strip(),
        is_usable=usable,
        vendor=model.get("vendor", ""),
        is_deprecated=model.get("deprecated") == "yes",
    )
