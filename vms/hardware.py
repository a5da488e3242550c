"""What a definition says about a VM's devices, as plain data for `Vm.hardware`, pages and the API."""

from collections.abc import Iterable
from typing import Any

from virt.inventory.domains import DiskSize
from virt.xml.summary import DiskSummary, DomainSummary, NicSummary


def of(summary: DomainSummary, sizes: Iterable[DiskSize] = (), *, is_agent_connected: bool = False) -> dict[str, Any]:
    """The dict kept in `Vm.hardware`. sizes: of the disks, as the host last counted them."""
    by_target = {size.target: size for size in sizes}
    return {
        "disks": [_disk(disk, by_target.get(disk.target)) for disk in summary.disks],
        "nics": [_nic(nic) for nic in summary.nics],
        "graphics": [
            {"kind": one.kind, "listen": one.listen, "port": one.port, "tls_port": one.tls_port, "socket": one.socket}
            for one in summary.graphics
        ],
        "serials": [
            {"kind": one.kind, "path": one.path, "port": one.port, "alias": one.alias} for one in summary.serials
        ],
        "machine": summary.machine,
        "arch": summary.arch,
        "domain_type": summary.domain_type,
        "cpu": {"mode": summary.cpu.mode, "model": summary.cpu.model},
        "firmware": summary.firmware,
        "boot": list(summary.boot),
        "passthrough": [{"kind": one.kind, "address": one.address} for one in summary.passthrough],
        "shared_folders": list(summary.shared_folders),
        "video": summary.video,
        "has_agent": summary.has_guest_agent,
        "agent_connected": is_agent_connected,
        "has_tpm": summary.has_tpm,
        "max_vcpus": summary.max_vcpus,
        "max_memory_bytes": summary.max_memory_bytes,
        "title": summary.title,
        "description": summary.description,
        "note": {"owner": summary.note.owner, "text": summary.note.text},
    }


def _disk(disk: DiskSummary, size: DiskSize | None) -> dict[str, Any]:
    source = disk.source
    return {
        "target": disk.target,
        "device": disk.device,
        "bus": disk.bus,
        "source_kind": source.kind,
        "path": source.path,
        "pool": source.pool,
        "volume": source.volume,
        "protocol": source.protocol,
        "name": source.name,
        "hosts": list(source.hosts),
        "place": source.place,
        "format": source.format,
        "serial": disk.serial,
        "cache": disk.cache,
        "readonly": disk.is_readonly,
        "shareable": disk.is_shareable,
        "backing": [layer.place for layer in disk.backing],
        "capacity_bytes": size.capacity_bytes if size else None,
        "allocation_bytes": size.allocation_bytes if size else None,
    }


def _nic(nic: NicSummary) -> dict[str, Any]:
    return {
        "mac": nic.mac,
        "kind": nic.kind,
        "source": nic.source,
        "model": nic.model,
        "target": nic.target,
        "bridge": nic.bridge,
        "link": "up" if nic.is_link_up else "down",
    }


def files(*summaries: DomainSummary) -> dict[str, bool]:
    """Every file the given definitions name for a disk or a drive, also below others, and whether the VM writes it."""
    disks = [disk for summary in summaries for disk in summary.disks]
    found = {source.place: False for disk in disks for source in (disk.source, *disk.backing) if source.place}
    written = {disk.source.place: True for disk in disks if disk.device in {"disk", "lun"} and not disk.is_readonly}
    return found | {path: True for path in written if path}


def macs(*summaries: DomainSummary) -> set[str]:
    """Every MAC address the given definitions use."""
    return {nic.mac for summary in summaries for nic in summary.nics if nic.mac}


DISK_SAYS = ("target", "device", "bus", "capacity_bytes", "allocation_bytes", "format", "readonly")
NIC_SAYS = ("mac", "model", "link")
ELSEWHERE = ("disks", "nics", "passthrough", "shared_folders", "serials", "graphics")


def without_places(hardware: dict[str, Any]) -> dict[str, Any]:
    """What the VM itself is, without where that lies or leads to on its host."""
    rest = {name: value for name, value in hardware.items() if name not in ELSEWHERE}
    parts = {"disks": DISK_SAYS, "nics": NIC_SAYS}
    said = {
        name: [{key: one[key] for key in keys if key in one} for one in hardware.get(name, [])]
        for name, keys in parts.items()
    }
    return {**rest, **said}
