"""Requests for what is offered: asked for, decided, withdrawn, tried again. As on the pages; sizes in bytes."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema, Status
from ninja.pagination import paginate
from pydantic import Field

from access.models import User
from access.rules import PersonRequest, find, visible
from api.forms import Invalid, cleaned
from api.pages import Pieces
from api.rights import require
from api.schemas import In, Key, Problem
from selfservice import asking, deciding, leases, offers, terms
from selfservice.deciding import rows
from selfservice.models import OfferVersion, Request, RequestEvent, Reservation
from selfservice.request_forms import VALUE, ApproveForm, AskForm, RejectForm
from selfservice.sizes import SIZES
from selfservice.states import LASTING, RequestState
from selfservice.steps import vms_of
from vms.models import Vm

router = Router(tags=["requests"])
NOT_DONE = {403: Problem, 404: Problem, 409: Problem, 422: Problem}
Text = Annotated[str, Field(max_length=2000)]
Size = Annotated[int, Field(ge=1, le=2**62)]
Count = Annotated[int, Field(ge=1, le=10_000)]


class EventOut(Schema):
    step: str
    state: str
    by: str | None = Field(description="null: Drover itself")
    at: datetime
    why: str

    @staticmethod
    def resolve_state(row: RequestEvent) -> str:
        return row.after

    @staticmethod
    def resolve_by(row: RequestEvent) -> str | None:
        return row.by.username if row.by else None


class LeaseOut(Schema):
    """What follows of a request's lease, and when."""

    until: datetime | None = Field(description="its end: its VMs are shut down; null: it has none")
    extends_until: datetime | None = Field(description="how far it can be extended now without asking; null: not")
    most_until: datetime | None = Field(description="the longest time by itself; null: no limit")
    stage_until: datetime | None = Field(description="when what has ended is archived, what is archived deleted")
    pinned_at: datetime | None
    returned_at: datetime | None
    unused_at: datetime | None = Field(description="since when it is suggested for return")
    more_days: int | None = Field(description="asked for, and not decided yet")

    @staticmethod
    def resolve_extends_until(row: Request) -> datetime | None:
        return terms.one_click(row, timezone.now())

    @staticmethod
    def resolve_more_days(row: Request) -> int | None:
        return row.longer_days


class RequestOut(Schema):
    id: int
    state: str
    asker: str
    group: int | None
    offer: int
    version: int
    pattern: str
    count: int
    vcpus: int
    memory_bytes: int
    disk_bytes: int
    lease_days: int | None
    reason: str
    asked_at: datetime
    decided_by: str | None
    until: datetime | None
    lease: LeaseOut | None = Field(description="null before it is ready and after its end")

    @staticmethod
    def resolve_lease(row: Request) -> Request | None:
        return row if row.state in LASTING else None

    @staticmethod
    def resolve_asker(row: Request) -> str:
        return row.asker.username

    @staticmethod
    def resolve_group(row: Request) -> int | None:
        return row.group_id

    @staticmethod
    def resolve_offer(row: Request) -> int:
        return row.version.offer_id

    @staticmethod
    def resolve_version(row: Request) -> int:
        return row.version.number

    @staticmethod
    def resolve_decided_by(row: Request) -> str | None:
        return row.decided_by.username if row.decided_by else None


class RequestDetailOut(RequestOut):
    values: dict[str, Any]
    vms: list[UUID]
    events: list[EventOut]

    @staticmethod
    def resolve_vms(row: Any) -> list[UUID]:
        return list(row.seen_vms)

    @staticmethod
    def resolve_events(row: Request) -> list[RequestEvent]:
        return list(row.events.select_related("by"))


class Wanted(Schema):
    """Which requests; all of these together."""

    state: str = ""
    vm: UUID | None = Field(None, description="the one that this VM was made for")
    lease: Literal["soon", "ended", "unused", "longer", "pinned"] | None = Field(
        None, description="ends soon, has ended, suggested for return, more time asked for, pinned"
    )


class RequestIn(In):
    offer: Key
    version: Count
    pattern: Annotated[str, Field(max_length=60)] = Field(description="name of the VM; with ## for a number: web-##")
    count: Count = 1
    vcpus: Count | None = Field(None, description="of each VM, as memory and disk; null: as the offer usually has")
    memory_bytes: Size | None = None
    disk_bytes: Size | None = None
    group: Key | None = None
    values: dict[str, str | int | bool | None] = Field({}, description="for the fields of the offer")
    ssh_keys: list[Key] | None = Field(None, description="of one's own; null: all of them")
    reason: Text


class ApproveIn(In):
    """What is left out stays as it was asked for."""

    why: Text = ""
    count: Count | None = None
    vcpus: Count | None = None
    memory_bytes: Size | None = None
    disk_bytes: Size | None = None
    lease_days: Count | None = None


class RejectIn(In):
    why: Text


def one_of(caller: PersonRequest, pk: int, permission: str = "") -> Request:
    """With the VMs of it that the caller sees."""
    require(caller, "selfservice.view")
    found = find(caller.user, rows(), permission, pk=pk)
    found.seen_vms = list(visible(caller.user, vms_of(found)).values_list("uuid", flat=True))  # type: ignore[attr-defined]
    return found


@router.get("/requests", response=list[RequestOut])
@paginate(Pieces)
def list_requests(request: PersonRequest, wanted: Query[Wanted]) -> QuerySet[Request]:
    """One's own, and those that one may read; newest first."""
    require(request, "selfservice.view")
    found = visible(request.user, rows())
    if wanted.state in RequestState.values:
        found = found.filter(state=wanted.state)
    if wanted.vm is not None:
        seen = visible(request.user, Vm.objects.filter(uuid=wanted.vm)).values("pk")
        found = found.filter(pk__in=Reservation.objects.filter(vm__in=seen).values("request"))
    if wanted.lease is not None:
        found = leases.filtered(found, wanted.lease, timezone.now()).order_by("-id")
    return found


@router.get("/requests/undecided", response=list[RequestOut])
@paginate(Pieces)
def list_undecided(request: PersonRequest) -> QuerySet[Request]:
    """New ones that the caller may decide: those that wait too long first, then the oldest."""
    require(request, "selfservice.decide")
    return deciding.undecided(request.user)


@router.post("/requests", response={201: RequestDetailOut, **NOT_DONE})
def create_request(request: PersonRequest, wish: RequestIn) -> Any:
    """Ask for VMs. What it takes is reserved at once; a small one may be approved by itself."""
    require(request, "selfservice.ask")
    offer = offers.offered(request.user).filter(pk=wish.offer).first()
    if offer is None:
        raise Invalid({"offer": [_("There is no such offer.")]})
    version = offer.latest()
    form = AskForm(_as_posted(request.user, version, wish), user=request.user, offered=version)
    cleaned(form)
    return Status(201, one_of(request, asking.ask(request.user, version, form.wish()).pk))


def _as_posted(user: User, version: OfferVersion, wish: RequestIn) -> dict[str, Any]:
    """As the page's form would send it; what was left out is what the form begins with."""
    given = wish.dict(exclude={"values", "ssh_keys", "offer"})
    for name in SIZES:
        given[name] = getattr(version, name) if given[name] is None else given[name]
    given |= {VALUE + name: value for name, value in wish.values.items()}
    given["ssh_keys"] = [key.pk for key in user.ssh_keys.all()] if wish.ssh_keys is None else wish.ssh_keys
    return given


@router.get("/requests/{request_id}", response={200: RequestDetailOut, 404: Problem})
def get_request(request: PersonRequest, request_id: int) -> Any:
    """One request, with what happened to it and its VMs."""
    return one_of(request, request_id)


@router.post("/requests/{request_id}/approve", response={200: RequestDetailOut, **NOT_DONE})
def approve_request(request: PersonRequest, request_id: int, wish: ApproveIn) -> Any:
    """As it is, or with other figures: then that is reserved and built."""
    found = one_of(request, request_id, "selfservice.decide")
    new = wish.dict(exclude={"why"}, exclude_none=True)
    now = {name: getattr(found, name) for name in deciding.CHANGEABLE}
    form = ApproveForm({**now, **new, "why": wish.why}, request=found)
    cleaned(form)
    deciding.approve(found, request.user, why=wish.why, changes=form.changes())
    return one_of(request, request_id)


@router.post("/requests/{request_id}/reject", response={200: RequestDetailOut, **NOT_DONE})
def reject_request(request: PersonRequest, request_id: int, wish: RejectIn) -> Any:
    """With a reason, which who asked reads."""
    found = one_of(request, request_id, "selfservice.decide")
    deciding.reject(found, request.user, cleaned(RejectForm(wish.dict()))["why"])
    return one_of(request, request_id)


@router.post("/requests/{request_id}/withdraw", response={200: RequestDetailOut, **NOT_DONE})
def withdraw_request(request: PersonRequest, request_id: int) -> Any:
    """One's own, before somebody has decided."""
    deciding.withdraw(one_of(request, request_id), request.user)
    return one_of(request, request_id)


@router.post("/requests/{request_id}/retry", response={200: RequestDetailOut, **NOT_DONE})
def retry_request(request: PersonRequest, request_id: int) -> Any:
    """Make what a failed build has not made; it is still reserved."""
    deciding.retry(one_of(request, request_id), request.user)
    return one_of(request, request_id)


@router.post("/requests/{request_id}/give-up", response={200: RequestDetailOut, **NOT_DONE})
def give_up_request(request: PersonRequest, request_id: int) -> Any:
    """After a failed build: VMs that were made stay, the rest is no longer reserved."""
    deciding.give_up(one_of(request, request_id), request.user)
    return one_of(request, request_id)
