"""The common CPU of the cluster, as it is stored. Computing it is the job "hosts.common_cpu"."""

import hashlib
from collections.abc import Iterable
from typing import Any

from hosts.models import ClusterCpu, Host
from hosts.states import HostState, Transport

DOMAIN_TYPES = ("kvm", "qemu")
Kind = tuple[str, str]  # architecture, domain type


def common_cpu(domain_type: str, arch: str = "x86_64") -> dict[str, Any] | None:
    """What new VMs get so that they can move to every host of their kind; None while it is not known."""
    row = ClusterCpu.objects.filter(arch=arch, domain_type=domain_type).exclude(model="").first()
    if row is None:
        return None
    return {
        "model": row.model,
        "vendor": row.vendor,
        "fallback": "forbid",
        "features": row.features,
        "xml": row.xml,
        "computed_at": row.computed_at,
    }


def inputs() -> dict[Kind, list[Host]]:
    """The hosts whose CPUs count, by kind. Hosts that are off or silent count too: VMs shall move there again."""
    kinds: dict[Kind, list[Host]] = {}
    rows = Host.objects.filter(is_managed=True).exclude(cpu_xml="").exclude(transport=Transport.TEST).order_by("pk")
    for host in rows:
        if host.domain_type in DOMAIN_TYPES and host.arch:
            kinds.setdefault((host.arch, host.domain_type), []).append(host)
    return kinds


def digest(hosts: Iterable[Host]) -> str:
    text = "\n".join(f"{host.pk} {host.cpu_xml}" for host in hosts)
    return hashlib.sha256(text.encode()).hexdigest()


def is_stale() -> bool:
    """Whether the hosts' CPUs are others than the stored common CPUs were computed from."""
    wanted = {kind: digest(hosts) for kind, hosts in inputs().items()}
    stored = {(row.arch, row.domain_type): row.inputs_digest for row in ClusterCpu.objects.all()}
    return wanted != stored


def refresh_if_stale() -> None:
    """Enqueue the computation if it is due and not already on its way. Database only: for watch and operations."""
    from hosts.operations.cpu import ComputeCommonCpu
    from jobs.engine import enqueue
    from jobs.models import Job
    from jobs.states import State

    hosts = [host for kind in inputs().values() for host in kind]
    can_be_asked = [host for host in hosts if host.observed_state in {HostState.UP, HostState.NEW}]
    if (hosts and not can_be_asked) or not is_stale():
        return
    if not Job.objects.filter(operation=ComputeCommonCpu.name, state=State.QUEUED).exists():
        enqueue(ComputeCommonCpu(), user=None)
