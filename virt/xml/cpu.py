"""The <cpu> element of a VM and of a host: https://libvirt.org/formatdomain.html#cpu-model-and-topology"""

from dataclasses import dataclass, replace

from lxml import etree

from virt.xml.tree import (
    BadXml,
    Element,
    add,
    attribute,
    number,
    on_off,
    parse_document,
    serialise,
    text_of,
)

MODES = ("host-model", "host-passthrough", "maximum", "custom")
_POLICIES = ("force", "require", "optional", "disable", "forbid")


@dataclass(frozen=True)
class Topology:
    """How the CPUs are divided; sockets * dies * cores * threads is the maximum number of vCPUs."""

    sockets: int = 1
    dies: int = 1
    cores: int = 1
    threads: int = 1


@dataclass(frozen=True)
class CpuFeature:
    """One feature that the model is given or denied: policy force, require, optional, disable, forbid."""

    name: str
    policy: str = "require"


@dataclass(frozen=True)
class CpuSpec:
    """mode "custom" takes model, vendor and features (the cluster's baseline); "maximum" is for emulation."""

    mode: str = "host-model"
    model: str = ""
    vendor: str = ""
    features: tuple[CpuFeature, ...] = ()
    match: str = ""
    check: str = ""
    fallback: str = ""
    migratable: bool | None = None
    topology: Topology | None = None


def add_cpu(parent: Element, spec: CpuSpec) -> Element:
    """Append <cpu> for `spec`. Raises ValueError if mode and model do not fit."""
    if spec.mode not in MODES:
        raise ValueError(f"unknown CPU mode: {spec.mode!r}")
    if (spec.mode == "custom") != bool(spec.model):
        raise ValueError("a CPU model belongs to mode custom, and mode custom needs one")
    cpu = add(parent, "cpu", mode=spec.mode)
    custom = spec.mode == "custom"
    match, check = spec.match or ("exact" if custom else ""), spec.check or ("partial" if custom else "")
    if match:
        cpu.set("match", match)
    if check:
        cpu.set("check", check)
    if spec.migratable is not None:
        cpu.set("migratable", on_off(spec.migratable))
    if custom:
        # forbid: a VM that silently got another CPU could not move to the hosts it was made for
        add(cpu, "model", spec.model, fallback=spec.fallback or "forbid")
        if spec.vendor:
            add(cpu, "vendor", spec.vendor)
    _add_details(cpu, spec)
    return cpu


def _add_details(cpu: Element, spec: CpuSpec) -> None:
    if spec.topology:
        sizes = spec.topology
        add(
            cpu,
            "topology",
            sockets=str(sizes.sockets),
            dies=str(sizes.dies),
            cores=str(sizes.cores),
            threads=str(sizes.threads),
        )
    for feature in spec.features:
        if feature.policy not in _POLICIES:
            raise ValueError(f"unknown policy for CPU feature {feature.name}: {feature.policy!r}")
        add(cpu, "feature", policy=feature.policy, name=feature.name)


def cpu_of(cpu: Element | None) -> CpuSpec:
    """A <cpu> of a domain, of (domain) capabilities or of a baseline. Without one: mode "".

    A host's own <cpu> has no mode: it comes out as "custom" with every feature required.
    """
    if cpu is None:
        return CpuSpec(mode="")
    model = text_of(cpu, "model").strip()
    migratable = cpu.get("migratable")
    return CpuSpec(
        mode=cpu.get("mode") or ("custom" if model else ""),
        model=model,
        vendor=text_of(cpu, "vendor").strip(),
        features=tuple(
            CpuFeature(feature.get("name", ""), feature.get("policy", "require"))
            for feature in cpu.iterchildren("feature")
        ),
        match=cpu.get("match", ""),
        check=cpu.get("check", ""),
        fallback=attribute(cpu, "model", "fallback"),
        migratable=None if migratable is None else migratable == "on",
        topology=_topology_of(cpu.find("topology")),
    )


def _topology_of(topology: Element | None) -> Topology | None:
    if topology is None:
        return None
    sizes = {name: number(topology.get(name, "1"), name) for name in ("sockets", "dies", "cores", "threads")}
    return Topology(**sizes)


def build(spec: CpuSpec) -> str:
    """<cpu> as a document of its own."""
    holder = etree.Element("domain")
    return serialise(add_cpu(holder, spec))


def parse(xml: str) -> CpuSpec:
    """A <cpu> document, for example what conn.baselineHypervisorCPU returned."""
    return cpu_of(parse_document(xml, "cpu"))


def from_baseline(xml: str) -> CpuSpec:
    """The CPU for new VMs out of a baseline, so that they start on each host it was computed from.

    Raises BadXml if libvirt found nothing in common (no model).
    """
    cpu = parse(xml)
    if not cpu.model:
        raise BadXml("the hosts have no CPU model in common")
    return replace(cpu, mode="custom", match="exact", check="partial", fallback="forbid", topology=None)
