"""The cluster map: a card per host, a tile per VM as wide as its memory. Three queries for one page of hosts."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.core.paginator import Page, Paginator
from django.db.models import Case, QuerySet, When

from access.rules import Person, visible
from hosts.models import Host
from hosts.states import HostState
from jobs.states import ACTIVE
from ui import text
from vms.models import Vm, shown_state
from vms.states import ALIVE, VmState

HOSTS_PER_PAGE = 12
TILES = 60  # of one host; the rest is a number with a link
GIB = 2**30
WIDEST = 16
LOOK = {
    VmState.RUNNING: "on",
    VmState.OFF: "off",
    VmState.PAUSED: "held",
    VmState.SUSPENDED: "held",
    VmState.SHUTTING_DOWN: "busy",
    VmState.BLOCKED: "held",
    VmState.CREATING: "busy",
    VmState.CRASHED: "bad",
    VmState.UNKNOWN: "unknown",
}
VM_FIELDS = ("uuid", "name", "host_id", "observed_state", "missing_since", "memory_bytes", "job__state")
HOST_FIELDS = (
    "name",
    "observed_state",
    "maintenance",
    "seen_at",
    "cpu_percent",
    "memory_bytes",
    "memory_free_bytes",
)


class Tile(NamedTuple):
    uuid: str
    look: str
    wide: int
    label: str
    can_move: bool


@dataclass
class Card:
    host: Host
    vms: int = 0
    tiles: list[Tile] = field(default_factory=list)

    @property
    def more(self) -> int:
        return self.vms - len(self.tiles)

    @property
    def takes_vms(self) -> bool:
        return self.host.is_up and not self.host.maintenance


def width(memory_bytes: int) -> int:
    """1..16, growing with the square root of the memory: 64 GiB is eight times as wide as 1 GiB."""
    return max(1, min(WIDEST, round(2 * math.sqrt(memory_bytes / GIB))))


def tiles(cards: dict[int, Card], rows: Iterable[tuple[Any, ...]]) -> None:
    """Put each VM (a row of VM_FIELDS) on its host's card. Many rows: no model objects, words looked up once."""
    words = {state: str(state.label) for state in VmState}
    memory: dict[int, tuple[int, str]] = {}
    for uuid, name, host_id, observed, missing_since, memory_bytes, job_state in rows:
        card = cards[host_id]
        card.vms += 1
        if card.vms > TILES:
            continue
        state = VmState(shown_state(observed, missing_since, card.host))
        if memory_bytes not in memory:
            memory[memory_bytes] = width(memory_bytes), text.size(memory_bytes)
        wide, size = memory[memory_bytes]
        is_busy = job_state in ACTIVE
        look = "busy" if is_busy and state != VmState.UNKNOWN else LOOK[state]
        can_move = not is_busy and (state in ALIVE or state == VmState.OFF)
        card.tiles.append(Tile(str(uuid), look, wide, f"{name} · {words[state]} · {size}", can_move))


def page_of_hosts(hosts: QuerySet[Host], number: str) -> Page[Any]:
    """Hosts by name; sick ones are not hidden on a later page: they come first when there are several pages."""
    rows = hosts.only(*HOST_FIELDS)
    pages = Paginator(rows.order_by("name"), HOSTS_PER_PAGE)
    if pages.num_pages > 1:
        sick_first = Case(When(observed_state=HostState.UP, then=1), default=0)
        pages.object_list = rows.order_by(sick_first, "name")
    return pages.get_page(number)


def cards(user: Person, hosts: list[Host]) -> list[Card]:
    mine = visible(user, Vm.objects.filter(host__in=hosts))
    made = {host.pk: Card(host) for host in hosts}
    rows = mine.order_by("host_id", "name").values_list(*VM_FIELDS)
    tiles(made, rows.iterator(chunk_size=2000))
    return list(made.values())


def cluster_map(user: Person, *, page: str = "1", find: str = "") -> dict[str, Any]:
    """What `cluster/_map.html` needs."""
    hosts = Host.objects.filter(is_managed=True)
    if find:
        hosts = hosts.filter(name__icontains=find)
    shown = page_of_hosts(hosts, page)
    return {"cards": cards(user, list(shown.object_list)), "page": shown, "find": find, "per_page": HOSTS_PER_PAGE}
