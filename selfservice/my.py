"""A person's own place: their VMs, those that others share with them, and what they asked for that is not ready."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from access.models import User
from access.rights import rights_of
from access.rules import Person, can, everywhere, is_somebody, visible
from selfservice.models import Request, Reservation
from selfservice.states import RequestState
from vms.actions import BY_VERB, Offer, main_action, offer
from vms.login import ssh_command
from vms.models import Snapshot, Vm
from vms.snapshots import why_none

PER_PAGE = 24
MOST_REQUESTS = 12
COMING = (RequestState.PENDING, RequestState.APPROVED, RequestState.BUILDING, RequestState.FAILED)


@dataclass(frozen=True)
class Card:
    """One VM as its card shows it to one person."""

    vm: Vm
    request: Request | None
    ssh: str
    main: Offer
    reboot: Offer
    may_power: bool
    may_console: bool
    may_snapshot: bool
    may_edit: bool
    may_share: bool
    is_mine: bool


def vms_of(user: User) -> QuerySet[Vm]:
    """Their own and those granted to them one by one: not all that a manager or operator sees."""
    granted = rights_of(user).vms.get("vms.view", set())
    rows = visible(user, Vm.objects.filter(Q(owner=user) | Q(pk__in=granted)))
    number = Snapshot.objects.filter(vm=OuterRef("pk")).order_by().values("vm").annotate(n=Count("pk")).values("n")
    rows = rows.annotate(snapshots_number=Coalesce(Subquery(number), 0))
    rows = rows.select_related("host", "owner", "image", "job").prefetch_related("tags")
    return rows.defer("definition", "live_definition", "cpu_history").order_by("name", "pk")


def sees_more(user: Person) -> bool:
    """Whether they see VMs that are no business of "My VMs": all, or those of a group."""
    return everywhere(user, "vms.view") or (is_somebody(user) and bool(rights_of(user).groups.get("vms.view")))


def cards(user: User, vms: list[Vm]) -> list[Card]:
    """One query for all their requests."""
    open_ones = Reservation.objects.filter(vm__in=vms, request__isnull=False).select_related("request")
    requests = {one.vm_id: one.request for one in open_ones.order_by("pk")}
    return [_card(user, vm, requests.get(vm.pk)) for vm in vms]


def _card(user: User, vm: Vm, request: Request | None) -> Card:
    return Card(
        vm=vm,
        request=request if request is not None and can(user, "selfservice.view", request) else None,
        ssh=ssh_command(vm),
        main=main_action(user, vm),
        reboot=offer(user, vm, BY_VERB["reboot"]),
        may_power=can(user, "vms.power", vm),
        may_console=can(user, "vms.console", vm),
        may_snapshot=can(user, "vms.snapshot", vm) and (vm.snapshots_number > 0 or why_none(vm) is None),  # type: ignore[attr-defined]
        may_edit=can(user, "vms.edit", vm),
        may_share=can(user, "vms.share", vm),
        is_mine=vm.owner_id == user.pk,
    )


def coming(user: User) -> dict[str, Any]:
    """What they asked for and is not there yet, newest first; and whether there is more of it."""
    rows = Request.objects.filter(asker=user, state__in=COMING).select_related("version__offer", "group", "job")
    found = list(rows[: MOST_REQUESTS + 1])
    return {"coming": found[:MOST_REQUESTS], "more_coming": len(found) > MOST_REQUESTS}
