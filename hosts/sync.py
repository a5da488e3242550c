"""What hosts report about themselves and their networks -> rows."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hosts.cpu import refresh_if_stale
from hosts.models import Host, Network, NetworkMode, NetworkOnHost
from hosts.states import HostState, Transport
from ui import live
from virt import moves, survey
from virt.connection import connect
from virt.errors import AuthenticationFailed, HostKeyChanged, VirtError
from virt.inventory import networks as inventory
from virt.inventory.networks import Lease, NetworkState
from virt.survey import Hypervisor, Machine
from virt.xml import network as network_xml
from virt.xml.tree import BadXml

log = logging.getLogger(__name__)
FIGURES = (  # what a sweep compares: the rest of a host's row is long
    "name",
    "observed_state",
    "state_since",
    "seen_at",
    "last_error",
    "last_error_technical",
    "memory_bytes",
    "memory_free_bytes",
    "cpu_percent",
    "load1",
)
BOOT_STEP = timedelta(seconds=5)  # the start of a host is computed from its uptime, which is never quite the same
UP_STATES = {HostState.UP, HostState.FENCED}


# --- alive or not ----------------------------------------------------------------------------------------------------


def store_figures(
    host_id: int,
    read_at: datetime,
    cpu_percent: float | None,
    memory_free_bytes: int | None,
    load1: float | None = None,
) -> Host | None:
    """The host answered. Returns its row as it is now; None if it was removed. Part of the caller's transaction."""
    host = Host.objects.filter(pk=host_id).only(*FIGURES).first()
    if host is None:
        return None
    values: dict[str, Any] = {
        "seen_at": read_at,
        "cpu_percent": cpu_percent,
        "memory_free_bytes": memory_free_bytes,
        "load1": load1,
    }
    topics = [f"host.{host_id}"]
    if host.observed_state != HostState.UP:
        values.update(observed_state=HostState.UP, state_since=read_at)
        topics += ["hosts", "vms"]  # VMs of a host that did not answer were shown as unknown
    if host.last_error:
        values.update(last_error="", last_error_technical="")
    _update(host, values, topics)
    return host


def mark_down(host_id: int, error: VirtError) -> None:
    """The host does not answer, or not us. A host that is known to be off stays so."""
    with transaction.atomic():
        host = Host.objects.filter(pk=host_id).first()
        if host is None:
            return
        values: dict[str, Any] = {"last_error": error.message, "last_error_technical": error.technical}
        refused = isinstance(error, HostKeyChanged | AuthenticationFailed)
        state = HostState.REFUSED if refused else HostState.UNREACHABLE
        topics = [f"host.{host_id}"]
        if host.observed_state not in {state, HostState.FENCED}:
            values.update(observed_state=state, state_since=timezone.now(), cpu_percent=None, load1=None)
            topics += ["hosts", "vms"]
        _update(host, values, topics)


def same_machine(host_id: int, uuid: str) -> Host | None:
    """Another host of ours that is the machine with this UUID: the one that was there first."""
    if not uuid:
        return None
    return Host.objects.filter(uuid=uuid, is_managed=True).exclude(pk=host_id).order_by("pk").first()


def mark_same(host_id: int, other: Host) -> None:
    """The host has the UUID of another one: what they report must not be mixed."""
    message = _(
        "This host says it is the same machine as “%(name)s” (UUID %(uuid)s). If it is, remove one of the two; if it is"
        " not, give it a UUID of its own: host_uuid in libvirtd.conf on the host, then restart libvirtd."
    )
    error = AuthenticationFailed(message % {"name": other.name, "uuid": other.uuid})
    mark_down(host_id, error)


def _update(host: Host, values: dict[str, Any], topics: Sequence[str]) -> None:
    """Write what is different, tell pages if anything was."""
    changed = {column: value for column, value in values.items() if getattr(host, column) != value}
    if not changed:
        return
    for column, value in changed.items():
        setattr(host, column, value)
    host.save(update_fields=list(changed))
    transaction.on_commit(lambda: live.publish(*topics))


# --- facts -----------------------------------------------------------------------------------------------------------


def store_facts(host_id: int, hypervisor: Hypervisor, machine: Machine | None, read_at: datetime) -> None:
    """What the host is and has. machine None: no SSH there, so what only SSH tells stays as it is."""
    with transaction.atomic():
        host = Host.objects.filter(pk=host_id).first()
        if host is None:
            return
        values = _of_hypervisor(hypervisor)
        if machine is not None:
            values.update(_of_machine(machine, host, read_at))
        elif host.transport != Transport.TEST:
            values["has_kvm"] = "kvm" in hypervisor.domain_types
        _update(host, values, [f"host.{host_id}", "hosts"])
        Host.objects.filter(pk=host_id).update(facts_at=read_at)
    refresh_if_stale()


def store_certificate(host_id: int, until: datetime | None) -> None:
    """Until when the host's certificates for encrypted migration are valid; None if it has none."""
    with transaction.atomic():
        host = Host.objects.filter(pk=host_id).only("certificate_until").first()
        if host is not None:
            _update(host, {"certificate_until": until}, [f"host.{host_id}", "hosts"])


def _of_hypervisor(facts: Hypervisor) -> dict[str, Any]:
    return {
        "uuid": facts.uuid or None,
        "hostname": facts.hostname,
        "arch": facts.arch,
        "cpu_model": facts.cpu_model,
        "cpu_vendor": facts.cpu_vendor,
        "cpu_xml": facts.cpu_xml,
        "cpus": facts.cpus,
        "cpu_mhz": facts.cpu_mhz,
        "topology": facts.topology,
        "memory_bytes": facts.memory_bytes,
        "domain_types": list(facts.domain_types),
        "machine_types": list(facts.machine_types),
        "libvirt_version": facts.libvirt_version,
        "qemu_version": facts.qemu_version,
    }


def _of_machine(machine: Machine, host: Host, read_at: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {
        "has_kvm": machine.has_kvm,
        "os_name": machine.os_name,
        "bridges": list(machine.bridges),
        "clock_offset_s": round(machine.clock_offset_s, 1),
    }
    boot_at = read_at - timedelta(seconds=machine.uptime_s)
    if host.boot_at is None or abs(host.boot_at - boot_at) > BOOT_STEP:
        values["boot_at"] = boot_at
    return values


# --- networks --------------------------------------------------------------------------------------------------------


def store_networks(
    host_id: int, found: Sequence[NetworkState], leases: Mapping[str, Sequence[Lease]], read_at: datetime
) -> None:
    """All networks of a host, found by name. Ones that it no longer has are marked, not removed."""
    topics: list[str] = []
    with transaction.atomic():
        host = Host.objects.filter(pk=host_id).first()
        if host is None:
            return
        stored = {row.network.name: row for row in NetworkOnHost.objects.filter(host=host).select_related("network")}
        for one in found:
            try:
                _store_network(host, one, stored.get(one.name), leases.get(one.name, ()), read_at, topics)
            except BadXml as error:
                log.warning("network %s on %s cannot be read: %s", one.name, host.name, error)
        names = {one.name for one in found}
        for name, row in stored.items():
            if name not in names and row.missing_since is None:
                NetworkOnHost.objects.filter(pk=row.pk).update(missing_since=read_at, is_active=False, leases=[])
                topics += [f"network.{row.network_id}", "networks"]
        transaction.on_commit(lambda: live.publish(*dict.fromkeys(topics)))


def _store_network(
    host: Host,
    one: NetworkState,
    row: NetworkOnHost | None,
    leases: Sequence[Lease],
    read_at: datetime,
    topics: list[str],
) -> None:
    values: dict[str, Any] = {
        "uuid": one.uuid,
        "is_active": one.is_active,
        "autostart": one.autostart,
        "bridge": one.bridge,
        "xml": one.xml,
        "identity": inventory.identity(one.xml),
        "leases": [{"mac": lease.mac, "ip": lease.ip, "hostname": lease.hostname} for lease in leases],
        "missing_since": None,
    }
    if row is None:
        mode = network_xml.parse(one.xml).mode
        known = mode if mode in NetworkMode.values else NetworkMode.OTHER
        network, _is_new = Network.objects.get_or_create(name=one.name, defaults={"mode": known})
        NetworkOnHost.objects.create(network=network, host=host, seen_at=read_at, **values)
        topics += [f"network.{network.pk}", "networks"]
        return
    changed = {column: value for column, value in values.items() if str(getattr(row, column)) != str(value)}
    NetworkOnHost.objects.filter(pk=row.pk).update(seen_at=read_at, **changed)
    if changed:
        topics += [f"network.{row.network_id}", "networks"]


# --- asking at once: for operations that changed something -----------------------------------------------------------


def refresh_host(host: Host) -> None:
    """Ask a host what it is and has, and store it. Raises VirtError if it does not answer. Blocks."""
    read_at = timezone.now()
    machine = survey.machine(host.target) if host.has_ssh else None
    with connect(host.target) as conn:
        hypervisor = survey.hypervisor(conn, domain_type_of(host, machine), with_lists=False)
    store_facts(host.pk, hypervisor, machine, read_at)
    if host.has_ssh:
        store_certificate(host.pk, moves.look(host.target).valid_until)


def domain_type_of(host: Host, machine: Machine | None) -> str:
    """Which kind of VMs the host runs, by what was just seen of it."""
    if machine is None:
        return host.domain_type
    return host.domain_type if host.path else "kvm" if machine.has_kvm else "qemu"


def refresh_networks(host: Host) -> None:
    """Ask a host for its networks and leases, and store them. Raises VirtError if it does not answer. Blocks."""
    read_at = timezone.now()
    with connect(host.target) as conn:
        found = inventory.read_networks(conn)
        leases = {one.name: inventory.read_leases(conn, one.name) for one in found if one.is_active}
    store_networks(host.pk, found, leases, read_at)
