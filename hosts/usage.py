"""Which VMs use a network. VMs belong to a room above this one: they are found through the host's relation to them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import TextField
from django.db.models.functions import Cast

from hosts.models import Host, Network

MOST = 200


class Use(NamedTuple):
    uuid: str
    name: str
    host_id: int | None
    host_name: str
    is_alive: bool
    macs: tuple[str, ...]


def vms_of(network: Network, hosts: Iterable[Host] | None = None) -> list[Use]:
    """VMs with an interface in this network, at most MOST of them. Database only."""
    vms: Any = Host._meta.get_field("vms").related_model
    rows = vms.objects.filter(missing_since=None, host__isnull=False)
    if hosts is not None:
        rows = rows.filter(host__in=[host.pk for host in hosts])
    rows = rows.annotate(text=Cast("hardware", TextField())).filter(text__contains=f'"{network.name}"')
    found = []
    columns = ("uuid", "name", "host_id", "host__name", "observed_state", "hardware")
    for uuid, name, host_id, host_name, state, hardware in rows.order_by("name").values_list(*columns)[: MOST * 2]:
        nics = [nic for nic in hardware.get("nics", []) if nic.get("kind") == "network"]
        macs = tuple(nic.get("mac", "") for nic in nics if nic.get("source") == network.name)
        if macs:
            found.append(Use(str(uuid), name, host_id, host_name, state not in {"off", "crashed"}, macs))
    return found[:MOST]
