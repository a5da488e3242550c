"""A VM's definition as a host holds it -> `Vm.definition`, its history, hardware and MACs."""

import logging
from dataclasses import asdict
from datetime import datetime
from typing import Any

from hosts.models import Host
from jobs.models import JobLock
from virt.inventory.domains import DomainDetail, DomainState
from virt.xml import drift, summary
from virt.xml.snapshot import SnapshotSummary
from virt.xml.summary import DomainSummary
from virt.xml.tree import BadXml
from vms import hardware
from vms.models import DefinitionVersion, DiskFile, MacAddress, Snapshot, Vm
from vms.states import ALIVE

log = logging.getLogger(__name__)
COLUMNS = (
    "uuid",
    "title",
    "description",
    "is_adopted",
    "is_persistent",
    "autostart",
    "memory_bytes",
    "vcpus",
    "definition",
    "live_definition",
    "hardware",
    "read_from",
)


def changes(
    vm: Vm, state: DomainState, detail: DomainDetail, host: Host, read_at: datetime, cause: str
) -> dict[str, Any]:
    """The columns of the VM that have to change; the history of definitions, MACs and files are written here."""
    try:
        kept = summary.parse(detail.persistent_xml)
        shown = summary.parse(detail.live_xml) if detail.live_xml else kept
    except BadXml as error:
        log.warning("the definition of VM %s on %s cannot be read: %s", vm.uuid, host.name, error)
        return {"read_from_id": host.pk}
    wanted: dict[str, Any] = {
        "read_from_id": host.pk,
        "is_persistent": detail.is_persistent,
        "live_definition": detail.live_xml,
        "hardware": hardware.of(shown, state.disks, is_agent_connected=detail.is_agent_connected),
        "memory_bytes": shown.memory_bytes,
        "vcpus": shown.vcpus,
    }
    if state.state in ALIVE:
        wanted["memory_bytes"] = state.counters.memory_bytes or shown.memory_bytes
        wanted["vcpus"] = state.counters.vcpus or shown.vcpus
    if detail.autostart is not None:
        wanted["autostart"] = detail.autostart
    # a VM that this host only runs and does not keep: what was kept elsewhere stays what the next start should use
    if detail.is_persistent or not vm.definition:
        wanted.update(_texts(vm, kept))
        wanted.update(_definition(vm, detail.persistent_xml, read_at, cause))
    _store_macs(vm, hardware.macs(kept, shown))
    _store_files(vm, hardware.files(kept, shown))
    _store_snapshots(vm, detail.snapshots)
    return {column: value for column, value in wanted.items() if getattr(vm, column) != value}


def _texts(vm: Vm, kept: DomainSummary) -> dict[str, str]:
    """Title and description follow the definition when they were changed there, or when the VM is new to us."""
    if not vm.definition:
        return {} if not vm.is_adopted else {"title": kept.title[:200], "description": kept.description}
    before = summary.parse(vm.definition)
    values = {}
    if kept.title != before.title:
        values["title"] = kept.title[:200]
    if kept.description != before.description:
        values["description"] = kept.description
    return values


def _definition(vm: Vm, xml: str, read_at: datetime, cause: str) -> dict[str, Any]:
    if xml == vm.definition:
        return {}
    if not vm.definition or drift.canonical(xml) != drift.canonical(vm.definition):
        DefinitionVersion.objects.create(vm=vm, at=read_at, xml=xml, cause=(cause or _cause(vm))[:200])
    return {"definition": xml, "definition_at": read_at}


def _cause(vm: Vm) -> str:
    job_id = JobLock.objects.filter(key__startswith=f"vm:{vm.uuid}#").values_list("job_id", flat=True).first()
    if job_id is not None:
        return f"job {job_id}"
    return "changed on the host" if vm.definition else "adopted"


def _store_files(vm: Vm, files: dict[str, bool]) -> None:
    known = dict(vm.disk_files.values_list("path", "is_written"))
    if gone := [path for path, is_written in known.items() if files.get(path) != is_written]:
        vm.disk_files.filter(path__in=gone).delete()
    fresh = [path for path, is_written in sorted(files.items()) if known.get(path) != is_written]
    DiskFile.objects.bulk_create([DiskFile(vm=vm, path=path, is_written=files[path]) for path in fresh])


def _store_snapshots(vm: Vm, found: tuple[SnapshotSummary, ...]) -> None:
    """One query where there is none and was none. Who made one stays known."""
    known = {one.name: one for one in vm.snapshots.all()}
    names = {one.name for one in found}
    if gone := [row.pk for name, row in known.items() if name not in names]:
        vm.snapshots.filter(pk__in=gone).delete()
    for one in found:
        said = {name: value for name, value in asdict(one).items() if name != "name"}
        row = known.get(one.name) or Snapshot(vm=vm, name=one.name)
        if row.pk is None or any(getattr(row, name) != value for name, value in said.items()):
            for name, value in said.items():
                setattr(row, name, value)
            row.save()


def _store_macs(vm: Vm, macs: set[str]) -> None:
    """The MACs the VM uses. One that another VM has already stays with that one: which is wrong, people decide."""
    is_held = JobLock.objects.filter(key__startswith=f"vm:{vm.uuid}#").exists()
    stored = dict(MacAddress.objects.filter(mac__in=macs).values_list("mac", "vm_id"))
    mine = set(MacAddress.objects.filter(vm=vm).values_list("mac", flat=True))
    if mine - macs and not is_held:  # a job may have promised one that it is about to use
        MacAddress.objects.filter(vm=vm, mac__in=mine - macs).delete()
    MacAddress.objects.bulk_create([MacAddress(mac=mac, vm=vm) for mac in sorted(macs - set(stored))])
    for mac, owner in stored.items():
        if owner != vm.pk:
            log.warning("VM %s has the MAC %s, which belongs to another VM", vm.uuid, mac)
