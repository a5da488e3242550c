"""Where a VM could be moved, from what is known in the database: each host with what speaks against it.

The worker asks the hosts themselves once more before anything moves (vms.migration).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hosts.models import Host, NetworkOnHost
from hosts.operations.reach import takes_part
from storage.models import PoolOnHost
from ui.rows import light
from ui.text import Sentence
from ui.text import Words as _
from vms.encrypted import why_no_tls
from vms.models import Vm
from vms.snapshots import in_the_way

LIVE, COPY, OFFLINE = "live", "copy", "offline"
CLOCK_TOLERANCE_S = 2.0
COLUMNS = (  # of a host, that speak for or against it
    "name",
    "transport",
    "address",
    "observed_state",
    "maintenance",
    "arch",
    "has_kvm",
    "cpu_model",
    "machine_types",
    "bridges",
    "libvirt_version",
    "qemu_version",
    "clock_offset_s",
    "memory_free_bytes",
    "certificate_until",
)


@dataclass(slots=True)
class Destination:
    """One host as a possible target. No blocker: it can take the VM."""

    host: Host
    blockers: list[Sentence] = field(default_factory=list)
    warnings: list[Sentence] = field(default_factory=list)
    no_tls: Sentence = ""  # why the VM can't go there encrypted; only a reason if that is wished

    @property
    def is_possible(self) -> bool:
        return not self.blockers

    def block(self, reason: Sentence) -> None:
        """Add a reason against it, once however many disks or cards have it."""
        if reason not in self.blockers:
            self.blockers.append(reason)

    @property
    def free_after_bytes(self) -> int:
        return self.host.memory_free_bytes or 0


def pools_of(host: Host | None) -> list[PoolOnHost]:
    """The pools of a host, each with its pool."""
    return list(PoolOnHost.objects.filter(host=host).select_related("pool")) if host is not None else []


def pool_of(path: str, presences: Iterable[PoolOnHost]) -> PoolOnHost | None:
    """The one of a host's pools whose folder holds the path (the innermost)."""
    holding = [
        presence
        for presence in presences
        if presence.pool.target_path and path.startswith(presence.pool.target_path.rstrip("/") + "/")
    ]
    return max(holding, key=lambda presence: len(presence.pool.target_path), default=None)


@dataclass
class Needs:
    """What the VM needs of a host, and which hosts have it: read once for all of them, and nothing else is read."""

    disks: list[tuple[dict[str, Any], PoolOnHost | None]]  # with the pool on the VM's own host; of each its largest
    pools: dict[tuple[int, int], PoolOnHost]  # of those pools, by pool and host
    networks: set[tuple[str, int]]  # of the VM's networks: name and host, where it is active
    trusted: frozenset[int]  # hosts that the VM's host can log in to
    snapshots: Sentence | None = None  # why those of the VM let it go nowhere

    @classmethod
    def of(cls, vm: Vm, host: Host | None = None) -> "Needs":
        """For all hosts, or for one."""
        here = pools_of(vm.host)
        disks = _largest_of_each([(disk, pool_of(disk["path"], here)) for disk in vm.disks if _lies_on_host(vm, disk)])
        pools = PoolOnHost.objects.filter(pool__in={presence.pool_id for _disk, presence in disks if presence})
        names = {nic.get("source") or "" for nic in vm.nics if nic.get("kind") == "network"} - {""}
        networks = NetworkOnHost.objects.filter(network__name__in=names, is_active=True, missing_since=None)
        if host is not None:
            pools, networks = pools.filter(host=host), networks.filter(host=host)
        columns = ("pool", "host", "is_active", "missing_since", "error", "identity", "available_bytes")
        return cls(
            disks,
            {(row.pool_id, row.host_id): row for row in pools.only(*columns)},
            set(networks.values_list("network__name", "host_id")),
            frozenset(vm.host.trusted_hosts if vm.host is not None else ()),
            in_the_way(vm),
        )


def _lies_on_host(vm: Vm, disk: dict[str, Any]) -> bool:
    return bool(disk.get("path")) and vm.host is not None and disk.get("source_kind") != "network"


def _largest_of_each(
    disks: list[tuple[dict[str, Any], PoolOnHost | None]],
) -> list[tuple[dict[str, Any], PoolOnHost | None]]:
    """What speaks against a pool is said once: of the disks in one the largest is asked, those in none are kept."""
    largest: dict[int, tuple[dict[str, Any], PoolOnHost | None]] = {}
    for disk, presence in sorted(disks, key=lambda one: int(one[0].get("capacity_bytes") or 0)):
        if presence is not None:
            largest[presence.pool_id] = disk, presence
    return [*largest.values(), *(one for one in disks if one[1] is None)]


def destinations(vm: Vm, mode: str) -> list[Destination]:
    """Every other host with its reasons; possible ones first, then by free memory. Database only."""
    needs = Needs.of(vm)
    others = Host.objects.filter(is_managed=True).exclude(pk=vm.host_id or 0)
    found = [weigh(vm, host, mode, needs) for host in light(others, *COLUMNS)]
    return sorted(found, key=lambda d: (len(d.blockers), len(d.warnings), -d.free_after_bytes, d.host.name))


def best(vm: Vm, mode: str, *, tls: bool = False) -> Destination | None:
    """The destination Drover would take: no blocker, fewest warnings, most free memory. tls: it must go encrypted."""
    usable = (found for found in destinations(vm, mode) if found.is_possible)
    return next((found for found in usable if not (tls and found.no_tls)), None)


def weigh(vm: Vm, host: Host, mode: str, needs: Needs) -> Destination:
    found = Destination(host, no_tls=why_no_tls(vm.host, host))
    if needs.snapshots:
        found.block(needs.snapshots)
    _weigh_host(vm, host, mode, needs, found)
    for disk, here in needs.disks:
        _weigh_disk(disk, here, host, mode, needs, found)
    for nic in vm.nics:
        _weigh_nic(nic, host, needs, found)
    for device in vm.hardware.get("passthrough", []):
        name = f"{device.get('kind', '')} {device.get('address', '')}".strip()
        found.block(_("It uses the device %(device)s of its host (passthrough).") % {"device": name})
    for folder in vm.hardware.get("shared_folders", []):
        found.block(_("It shares the folder %(folder)s of its host.") % {"folder": folder})
    return found


def _weigh_host(vm: Vm, host: Host, mode: str, needs: Needs, found: Destination) -> None:
    source = vm.host
    if not host.is_up:
        found.block(_("It does not answer (%(state)s).") % {"state": host.get_state_display()})
        return
    if host.maintenance:
        found.block(_("It is in maintenance."))
    if source is None:
        return
    if not source.is_up:
        found.block(_("%(host)s, where the VM is, does not answer.") % {"host": source})
    if host.has_ssh and host.pk not in needs.trusted:
        found.block(_no_trust(source, host))
    _weigh_machine(vm, source, host, mode, found)
    offset = abs((host.clock_offset_s or 0.0) - (source.clock_offset_s or 0.0))
    if offset > CLOCK_TOLERANCE_S:
        found.warnings.append(_("The clocks differ by %(s).0f s: set up time synchronisation.") % {"s": offset})


def _no_trust(source: Host, host: Host) -> Sentence:
    for machine in (source, host):
        if machine.has_ssh and not takes_part(machine):
            return _("%(host)s has no address that other hosts can use: enter one (its page).") % {"host": machine}
    return _("%(source)s can't log in to it. Let the hosts trust each other (Hosts page).") % {"source": source}


def _weigh_machine(vm: Vm, source: Host, host: Host, mode: str, found: Destination) -> None:
    if source.arch and host.arch and source.arch != host.arch:
        found.block(_("Its CPU is %(there)s, not %(here)s.") % {"there": host.arch, "here": source.arch})
    if vm.hardware.get("domain_type") == "kvm" and not host.has_kvm:
        found.block(_("It has no KVM, which the VM uses."))
    machine = vm.hardware.get("machine", "")
    if machine and host.machine_types and machine not in host.machine_types:
        found.block(
            _("Its QEMU (%(version)s) does not know the machine type %(machine)s.")
            % {"version": host.qemu_version or "?", "machine": machine}
        )
    cpu_mode = (vm.hardware.get("cpu") or {}).get("mode", "")
    if mode != OFFLINE and cpu_mode in {"host-passthrough", "host-model"} and source.cpu_model != host.cpu_model:
        found.warnings.append(
            _("The VM uses its host's own CPU (%(here)s), this one is %(there)s: it will be checked before it moves.")
            % {"here": source.cpu_model or "?", "there": host.cpu_model or "?"}
        )
    if mode != OFFLINE and host.memory_free_bytes is not None and host.memory_free_bytes < vm.memory_bytes:
        found.block(_("It has too little free memory."))
    if _version(host.libvirt_version) < _version(source.libvirt_version):
        found.warnings.append(
            _("Its libvirt (%(there)s) is older than %(here)s.")
            % {"there": host.libvirt_version, "here": source.libvirt_version}
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _weigh_disk(
    disk: dict[str, Any], here: PoolOnHost | None, host: Host, mode: str, needs: Needs, found: Destination
) -> None:
    if here is None:
        found.block(_("%(path)s is in no pool Drover knows.") % {"path": disk["path"]})
        return
    there = needs.pools.get((here.pool_id, host.pk))
    pool = {"pool": here.pool}
    if there is None or not there.is_usable:
        found.block(_("The pool %(pool)s, where its disks lie, is not active there.") % pool)
    elif here.pool.is_shared:
        if here.identity and there.identity and here.identity != there.identity:
            found.block(_("The pool %(pool)s is another one there (another source).") % pool)
    elif mode != COPY:
        found.block(
            _("Its disks are in the pool %(pool)s, which each host has for itself: choose “with disk copy”.") % pool
        )
    elif (there.available_bytes or 0) < int(disk.get("capacity_bytes") or 0):
        found.block(_("The pool %(pool)s has too little space there.") % pool)


def _weigh_nic(nic: dict[str, Any], host: Host, needs: Needs, found: Destination) -> None:
    source = nic.get("source") or ""
    if not source:
        return
    if nic.get("kind") == "network":
        if (source, host.pk) not in needs.networks:
            found.block(_("The network %(name)s is not active there.") % {"name": source})
    elif nic.get("kind") == "bridge" and host.bridges and source not in host.bridges:
        found.block(_("It has no bridge %(name)s.") % {"name": source})


def unshared_disks(vm: Vm) -> list[dict[str, Any]]:
    """The VM's writable disks whose pool is not shared: what a move with disk copy must copy."""
    here = pools_of(vm.host)
    disks = []
    for disk in vm.disks:
        presence = pool_of(disk.get("path") or "", here)
        if disk.get("device", "disk") == "disk" and not disk.get("readonly") and presence is not None:
            if not presence.pool.is_shared:
                disks.append(disk)
    return disks
