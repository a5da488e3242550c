"""What CPUs have in common: libvirt's baseline (virConnectBaselineHypervisorCPU)."""

from collections.abc import Sequence
from dataclasses import replace

import libvirt

from virt.errors import translated
from virt.xml import cpu

EXPAND = libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES
MIGRATABLE = libvirt.VIR_CONNECT_BASELINE_CPU_MIGRATABLE


def baseline(conn: "libvirt.virConnect", arch: str, domain_type: str, cpus: Sequence[str]) -> cpu.CpuSpec:
    """The best CPU for VMs of this kind that all of `cpus` (documents from domain capabilities) can give.

    Only models that the asked host's QEMU can use for this domain type come out. Raises VirtError, BadXml. Blocks.
    """
    with translated():
        xml = conn.baselineHypervisorCPU(None, arch, None, domain_type, list(cpus), MIGRATABLE)
    return cpu.from_baseline(xml)


def feature_names(conn: "libvirt.virConnect", arch: str, domain_type: str, document: str) -> frozenset[str]:
    """Every feature of one CPU by name, those of its model written out. Raises VirtError. Blocks."""
    with translated():
        xml = conn.baselineHypervisorCPU(None, arch, None, domain_type, [document], EXPAND)
    features = cpu.parse(xml).features
    return frozenset(feature.name for feature in features if feature.policy in {"require", "force"})


def document(spec: cpu.CpuSpec) -> str:
    """The <cpu> of a VM with exactly this CPU, as it is stored and shown."""
    return cpu.build(replace(spec, topology=None))
