"""The list of VMs as its address asks: search, filters, sort, counts. Few and narrow queries, whatever their number."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, OrderBy, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from access.rules import can, visible
from hosts.models import Host
from hosts.states import HostState
from storage.models import Image
from ui.rows import light
from vms.models import Tag, Vm
from vms.states import VmState

PAGE_SIZE = 20
SUGGESTIONS = 20
MAX_TEXT = 100
MAX_KEYS = 500
UNANSWERING = (HostState.NEW, HostState.UNREACHABLE, HostState.REFUSED)
# the columns a row shows; definitions and hardware are large and stay in the database
ROW = (
    "uuid",
    "name",
    "title",
    "observed_state",
    "state_since",
    "missing_since",
    "is_duplicate",
    "memory_bytes",
    "vcpus",
    "address",
    "cpu_history",
    "cpu_percent",
    "is_persistent",
    "group_id",
)
OF_OTHERS = {
    "host": ("name", "observed_state", "seen_at", "maintenance"),
    "owner": ("username",),
    "job": ("title", "state", "percent", "operation"),
}
SORTS: dict[str, F | Subquery] = {
    "name": F("name"),
    "state": F("observed_state"),
    # not by a join, for which SQLite reads the wide rows
    "host": Subquery(Host.objects.filter(pk=OuterRef("host")).values("name")),
    "address": F("address"),
    "vcpus": F("vcpus"),
    "memory": F("memory_bytes"),
    "cpu": F("cpu_percent"),
    "owner": Subquery(User.objects.filter(pk=OuterRef("owner")).values("username")),
    "created": F("created_at"),
}
# not by the index of states, which SQLite would take: the rows are wanted in the order of another
STATE = Coalesce(F("observed_state"), Value(""))
FILTERS = {
    "state": gettext_lazy("state"),
    "host": gettext_lazy("host"),
    "owner": gettext_lazy("owner"),
    "tag": gettext_lazy("tag"),
    "image": gettext_lazy("image"),
}


@dataclass(frozen=True)
class Token:
    """One filter that is set, and the list's address without it."""

    kind: str
    label: str
    value: str
    shown: str
    without: str


def unknown_q() -> Q:
    """VMs whose state people see as unknown (Vm.state says the same for one row)."""
    silent = Host.objects.filter(observed_state__in=UNANSWERING).values("pk")
    seen_off = Q(observed_state=VmState.UNKNOWN) | Q(missing_since__isnull=False) | Q(host=None) | Q(host__in=silent)
    return seen_off & ~Q(observed_state=VmState.CREATING)


@dataclass(frozen=True)
class Total:
    """How many VMs, and what they have been promised."""

    number: int
    vcpus: int

    def __add__(self, other: "Total") -> "Total":
        return Total(self.number + other.number, self.vcpus + other.vcpus)

    def __sub__(self, other: "Total") -> "Total":
        return Total(self.number - other.number, self.vcpus - other.vcpus)


def totals(rows: QuerySet[Vm]) -> dict[str, Total]:
    """VMs by the state that people see (`Vm.state` says the same for one row). Two queries, by the index vm_states."""
    sums = rows.order_by().values_list("observed_state").annotate(Count("pk"), Sum("vcpus"))
    found = {state: Total(number, vcpus) for state, number, vcpus in sums}
    unknown = Total(0, 0)
    for state, number, vcpus in sums.filter(unknown_q()):
        found[state] -= Total(number, vcpus)
        unknown += Total(number, vcpus)
    return {state: total for state, total in {**found, VmState.UNKNOWN.value: unknown}.items() if total.number}


def shown_rows(rows: Any) -> list[Vm]:
    """What rows of a list need, and nothing else: of a queryset, or of a page of one. tag_names: tags. Two queries."""
    found = light(rows, *ROW, **OF_OTHERS)
    tagged = Vm.tags.through.objects.filter(vm__in=[vm.pk for vm in found]).order_by("tag__name")
    names: dict[int, list[str]] = {}
    for key, name in tagged.values_list("vm_id", "tag__name") if found else ():
        names.setdefault(key, []).append(name)
    for vm in found:
        vm.tag_names = names.get(vm.pk, [])
    return found


class Listing:
    """One look at the list. Everything is read from the address, so that it can be kept, sent and reloaded."""

    def __init__(self, user: Any, query: QueryDict) -> None:
        self.user, self.query = user, query
        self.text = query.get("q", "").strip()[:MAX_TEXT]
        self.values = {kind: [one for one in query.getlist(kind) if one][:10] for kind in FILTERS}
        self.sees_hosts = can(user, "hosts.view")
        sort = query.get("sort", "name")
        self.sort = sort if sort.removeprefix("-") in SORTS else "name"
        if not self.sees_hosts:  # nor by what they are found or stand behind each other
            self.values["host"] = []
            self.sort = "name" if self.sort.removeprefix("-") == "host" else self.sort

    # --- rows --------------------------------------------------------------------------------------------------------

    @cached_property
    def base(self) -> QuerySet[Vm]:
        return visible(self.user, Vm.objects.all())

    @cached_property
    def is_filtered(self) -> bool:
        return bool(self.text) or any(self.values.values())

    @cached_property
    def found(self) -> QuerySet[Vm]:
        rows = self.base
        for kind, values in self.values.items():
            for value in values if kind == "tag" else [""]:  # several tags narrow, several of another kind widen
                if values:
                    rows = rows.filter(self._filter(kind, [value] if kind == "tag" else values))
        return rows.filter(self._search()) if self.text else rows

    def _filter(self, kind: str, values: list[str]) -> Q:
        if kind == "state":
            wanted = Q()
            for value in values:
                known = Exact(STATE, value) & (Q() if value == VmState.CREATING else ~unknown_q())
                wanted |= unknown_q() if value == VmState.UNKNOWN else known
            return wanted
        # keys first: SQLite then goes by the index on them instead of reading all rows in the order of names
        if kind == "host":
            return Q(host__in=_keys(Host.objects.filter(name__in=values)))
        if kind == "owner":
            people = Q(owner__in=_keys(User.objects.filter(username__in=values)))
            return people | Q(owner=None) if "-" in values else people
        if kind == "tag":
            return Q(pk__in=Vm.tags.through.objects.filter(tag__name__in=values).values("vm"))
        return Q(image__in=_keys(Image.objects.filter(name__in=values)))

    def _search(self) -> Q:
        try:
            return Q(uuid=UUID(self.text))
        except ValueError:
            text = self.text
        tagged = Vm.tags.through.objects.filter(tag__name__icontains=text).values("vm")
        owners = _keys(User.objects.filter(username__icontains=text))
        words = Q(name__icontains=text) | Q(address__icontains=text) | Q(title__icontains=text)
        return words | Q(owner__in=owners) | Q(pk__in=tagged)

    @cached_property
    def page(self) -> Page[int]:
        """The primary keys of the rows of this page."""
        first = OrderBy(SORTS[self.sort.removeprefix("-")], descending=self.sort.startswith("-"))
        keys = self.found.order_by(first, "name", "pk").values_list("pk", flat=True)
        if self.count is None:  # looked for once: all keys are read faster than counted and then read
            return Paginator(list(keys), PAGE_SIZE).get_page(self.query.get("page"))
        paginator = Paginator(keys, PAGE_SIZE)
        paginator.__dict__["count"] = self.count
        return paginator.get_page(self.query.get("page"))

    @cached_property
    def rows(self) -> list[Vm]:
        keys = list(self.page.object_list)
        rows = {vm.pk: vm for vm in shown_rows(self.base.filter(pk__in=keys).order_by())}
        return [rows[key] for key in keys if key in rows]

    @cached_property
    def count(self) -> int | None:
        """How many are found, if the totals say so already."""
        if self.text or any(values for kind, values in self.values.items() if kind != "state"):
            return None
        wanted = set(self.values["state"]) or set(self.states)
        return sum(total.number for state, total in self.states.items() if state in wanted)

    @cached_property
    def states(self) -> dict[str, Total]:
        return totals(self.base)

    # --- the address -------------------------------------------------------------------------------------------------

    def address(self, **changes: Any) -> str:
        """The query string with these changes; a None or "" takes one away. Always begins with "?"."""
        query: dict[str, Any] = {"q": self.text, **self.values, "sort": "" if self.sort == "name" else self.sort}
        query.update(changes)
        return "?" + urlencode({key: value for key, value in query.items() if value}, doseq=True)

    @cached_property
    def tokens(self) -> list[Token]:
        found = []
        for kind, values in self.values.items():
            for value in values:
                rest = [one for one in values if one != value]
                without = self.address(**{kind: rest})
                found.append(Token(kind, str(FILTERS[kind]), value, self._shown(kind, value), without))
        return found

    def _shown(self, kind: str, value: str) -> str:
        if kind == "state" and value in VmState.values:
            return str(VmState(value).label)
        return _("nobody") if kind == "owner" and value == "-" else value

    def columns(self) -> list[dict[str, Any]]:
        """Heads of the table with their sort links."""
        heads = (
            ("name", _("Name")),
            ("state", _("State")),
            ("host", _("Host")),
            ("address", _("Address")),
            ("memory", _("vCPU / memory")),
            ("cpu", _("CPU, 1 h")),
            ("owner", _("Owner")),
        )
        now, is_down = self.sort.removeprefix("-"), self.sort.startswith("-")
        return [
            {
                "label": label,
                "url": self.address(sort=f"-{key}" if key == now and not is_down else key),
                "order": ("descending" if is_down else "ascending") if key == now else "",
            }
            for key, label in heads
            if key != "host" or self.sees_hosts
        ]


def _keys(rows: QuerySet[Any]) -> list[int]:
    return list(rows.order_by().values_list("pk", flat=True)[:MAX_KEYS])


def suggestions(user: Any, kind: str, text: str) -> list[str]:
    """Some values for a filter, as typed so far. Never hundreds: the rest comes by typing."""
    text = text[:MAX_TEXT]
    mine = visible(user, Vm.objects.all())
    rows: dict[str, QuerySet[Any]] = {
        "host": Host.objects.filter(pk__in=mine.values("host"), name__icontains=text).values_list("name", flat=True),
        "owner": User.objects.filter(pk__in=mine.values("owner"), username__icontains=text).values_list(
            "username", flat=True
        ),
        "tag": Tag.objects.filter(vms__in=mine, name__icontains=text).values_list("name", flat=True),
        "image": Image.objects.filter(vms__in=mine, name__icontains=text).values_list("name", flat=True),
    }
    if kind not in rows or (kind == "host" and not can(user, "hosts.view")):
        return []
    return sorted(rows[kind].order_by().distinct()[:SUGGESTIONS])
