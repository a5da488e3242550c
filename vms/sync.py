"""What hosts report about VMs -> rows. VMs are matched by UUID; nothing is ever deleted here (law 5).

`apply` takes what one host said and brings the rows up to date in one transaction: it compares with what is there,
writes only columns that changed, and tells open pages about those.
"""

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from hosts.models import Host
from ui import live
from virt.connection import connect
from virt.inventory.domains import Marks, read_domain, read_marks, read_states
from vms.models import MacAddress, Vm
from vms.round import Observed, Outcome, Round
from vms.rows import write
from vms.states import ALIVE

HISTORY_LENGTH = 60


def apply(
    host: Host,
    observed: Sequence[Observed],
    *,
    read_at: datetime,
    is_complete: bool = False,
    gone: Collection[str] = (),
    marks: Marks | None = None,
    cause: str = "",
) -> Outcome:
    """Bring the rows up to date with what `host` said at `read_at`.

    is_complete: these are all its VMs, others are missing there; gone: UUIDs that it was asked for and does not hold.
    cause: what changed a definition, for its history.
    """
    with transaction.atomic():
        this = Round(host, read_at, cause)
        this.load(None if is_complete else {*(one.state.uuid for one in observed), *gone})
        this.take(observed, marks)
        this.miss(set(this.rows) - {one.state.uuid for one in observed} if is_complete else gone)
        this.settle()
        this.details(observed)
        this.finish()
        topics = this.topics()
        transaction.on_commit(lambda: live.publish(*topics))
    return this.outcome


def settle_host(host: Host) -> None:
    """Decide again where the VMs of this host are and in which state: after the host was declared off, or on again."""
    with transaction.atomic():
        this = Round(host, timezone.now(), "")
        this.settle_all()
        this.settle()
        this.finish()
        topics = this.topics()
        transaction.on_commit(lambda: live.publish(*topics))


# --- addresses and history -------------------------------------------------------------------------------------------


def store_addresses(
    host_id: int, seen: Mapping[str, Collection[str]], told: Mapping[str, Sequence[tuple[str, str]]]
) -> set[str]:
    """Addresses of the running VMs of a host.

    seen: MAC -> addresses in leases and the neighbour table; told: UUID -> (MAC, address) by guest agents, which know
    best. A VM of which nothing is heard keeps what it had. Returns the UUIDs of VMs that have an address.
    """
    macs: dict[int, set[str]] = {}
    rows = MacAddress.objects.filter(vm__host=host_id, vm__observed_state__in=ALIVE)
    for vm_id, mac in rows.values_list("vm_id", "mac"):
        macs.setdefault(vm_id, set()).add(mac)
    changes, topics, known = {}, [], set()
    for pk, uuid, before in Vm.objects.filter(pk__in=macs).values_list("pk", "uuid", "addresses"):
        agent = told.get(str(uuid), ())
        own = [ip for mac, ip in agent if mac in macs[pk]] or [ip for _mac, ip in agent]
        addresses = ordered(own or [ip for mac in sorted(macs[pk]) for ip in seen.get(mac, ())])
        if addresses or before:
            known.add(str(uuid))
        if addresses and addresses != before:
            changes[pk] = {"addresses": addresses, "address": addresses[0]}
            topics.append(f"vm.{uuid}")
    with transaction.atomic():
        write(Vm, changes)
        transaction.on_commit(lambda: live.publish(*topics))
    return known


def with_agents(host_id: int) -> list[str]:
    """UUIDs of the running VMs of a host whose guest agent is connected."""
    rows = Vm.objects.filter(host=host_id, observed_state__in=ALIVE, hardware__agent_connected=True)
    return [str(uuid) for uuid in rows.values_list("uuid", flat=True)]


def ordered(addresses: Iterable[str]) -> list[str]:
    """Each usable address once: IPv4 first, those of one link only left out."""
    found = []
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified):
            found.append(address)
    return [str(address) for address in sorted(dict.fromkeys(found), key=lambda one: one.version)]


def append_history(host_id: int, cpu_percents: Mapping[str, float]) -> None:
    """Add one figure to the last hour of each VM of the host: the mean of a minute."""
    changes = {}
    rows = Vm.objects.filter(host=host_id, uuid__in=cpu_percents)
    for pk, uuid, history in rows.values_list("pk", "uuid", "cpu_history"):
        changes[pk] = {"cpu_history": [*history, round(cpu_percents[str(uuid)], 1)][-HISTORY_LENGTH:]}
    with transaction.atomic():
        write(Vm, changes)


# --- asking at once: for operations that changed something -----------------------------------------------------------


def refresh_vm(host: Host, uuid: str, *, cause: str = "") -> Vm | None:
    """Ask this host about one VM and store the answer. None if neither the host nor Drover knows it.

    Raises VirtError if the host does not answer. Blocks.
    """
    read_at = timezone.now()
    with connect(host.target) as conn:
        reading = read_domain(conn, str(uuid))
    if reading is None:
        apply(host, [], read_at=read_at, gone=[str(uuid)], cause=cause)
    else:
        apply(host, [Observed(reading.state, reading.detail)], read_at=read_at, cause=cause)
    return Vm.objects.filter(uuid=uuid).first()


def refresh_vms(host: Host) -> None:
    """Ask this host for the states of all its VMs, and for definitions that are not known yet. As refresh_vm."""
    read_at = timezone.now()
    with connect(host.target) as conn:
        states, marks = read_states(conn), read_marks(conn)
        outcome = apply(host, [Observed(state) for state in states], read_at=read_at, is_complete=True, marks=marks)
        for uuid in outcome.unread:
            reading = read_domain(conn, uuid)
            if reading is not None:
                apply(host, [Observed(reading.state, reading.detail)], read_at=read_at)
