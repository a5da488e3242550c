"""Classes: a VM for each of a group's people. As on the pages."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from ninja import Router, Schema, Status
from ninja.pagination import paginate
from pydantic import AwareDatetime, Field

from access import rules
from access.models import Group
from access.rules import PersonRequest, visible
from api.forms import Invalid, cleaned
from api.pages import Pieces
from api.requests import NOT_DONE, Count, Size
from api.rights import require
from api.schemas import In, JobOut, Key, Problem
from jobs.errors import Refused
from selfservice import class_doing, classes
from selfservice.models import LabClass
from selfservice.sizes import SIZES
from ui.forms import TypedForm

router = Router(tags=["classes"])
Verb = Literal["start", "shutdown", "force-off", "reset", "snapshot", "until", "end"]
STARTED = {202: JobOut, **NOT_DONE}


class SeatOut(Schema):
    user: str
    request: int
    state: str = Field(description="of the request")
    name: str
    vm: UUID | None
    vm_state: str | None
    until: datetime | None
    has_start: bool = Field(description="whether there is a start snapshot to reset it to")


class ClassOut(Schema):
    id: int
    name: str
    group: int
    offer: int
    version: int
    pattern: str
    made_by: str | None
    created_at: datetime
    ended_at: datetime | None
    job: int | None = Field(description="the last one for all of it")

    @staticmethod
    def resolve_group(row: Any) -> int:
        return int(row.group_id)

    @staticmethod
    def resolve_offer(row: Any) -> int:
        return int(row.version.offer_id)

    @staticmethod
    def resolve_version(row: Any) -> int:
        return int(row.version.number)

    @staticmethod
    def resolve_made_by(row: Any) -> str | None:
        return row.made_by.username if row.made_by else None

    @staticmethod
    def resolve_job(row: Any) -> int | None:
        return row.job_id


class ClassDetailOut(ClassOut):
    seats: list[SeatOut]

    @staticmethod
    def resolve_seats(row: Any) -> list[SeatOut]:
        return [_seat(place) for place in row.places]


class ClassIn(In):
    """Sizes that are left out are the offer's usual ones."""

    group: Key
    offer: Key
    version: Count
    name: Annotated[str, Field(min_length=1, max_length=60)]
    people: Annotated[list[Annotated[str, Field(max_length=150)]], Field(max_length=classes.MOST_SEATS)]
    pattern: Annotated[str, Field(max_length=60)] = classes.PATTERN
    vcpus: Count | None = None
    memory_bytes: Size | None = None
    disk_bytes: Size | None = None
    values: dict[str, str | int | bool | None] = Field({}, description="for the fields of the offer, the same for all")
    until: AwareDatetime | None = Field(None, description="null: as long as the offer gives")
    start_snapshot: bool = True


class ActionIn(In):
    until: AwareDatetime | None = Field(None, description="for until")
    name: Annotated[str, Field(max_length=100)] = Field(
        "", description="for end: the class's, so that it is the right one"
    )


def _seat(place: classes.Place) -> SeatOut:
    vm = place.vm
    return SeatOut(
        user=place.seat.user.username,
        request=place.request.pk,
        state=place.request.state,
        name=vm.name if vm else place.request.pattern,
        vm=vm.uuid if vm else None,
        vm_state=vm.state if vm else None,
        until=place.request.until,
        has_start=place.has_start,
    )


def _rows() -> QuerySet[LabClass]:
    return LabClass.objects.select_related("group", "version__offer", "made_by", "job")


def _one(caller: PersonRequest, pk: int, permission: str = "") -> LabClass:
    require(caller, "classes.view")
    found = rules.find(caller.user, _rows(), permission, pk=pk)
    found.places = classes.places(caller.user, found.seats.all())  # type: ignore[attr-defined]
    return found


@router.get("/classes", response=list[ClassOut])
@paginate(Pieces)
def list_classes(request: PersonRequest) -> QuerySet[LabClass]:
    """Of the groups that one manages, or all; what has ended comes last."""
    require(request, "classes.view")
    return visible(request.user, _rows())


@router.post("/classes", response={201: ClassDetailOut, **NOT_DONE})
def make_class(request: PersonRequest, wish: ClassIn) -> Any:
    """A VM for each of these people, all reserved or none; its job makes them."""
    require(request, "classes.manage")
    group = visible(request.user, Group.objects.filter(pk=wish.group), "classes.manage").first()
    if group is None:
        raise Invalid({"group": [_("There is no such group.")]})
    offer = classes.offered(request.user, group).filter(pk=wish.offer).first()
    if offer is None or (version := offer.latest()).number != wish.version:
        raise Invalid({"offer": [_("There is no such offer.")]})
    people, wrong = classes.people_of(request.user, group, wish.people)
    if wrong:
        raise Invalid({"people": wrong})
    sizes = {name: getattr(wish, name) or getattr(version, name) for name in SIZES}
    given = classes.Wish(wish.name, version, people, sizes, wish.values, wish.pattern, wish.until, wish.start_snapshot)
    return Status(201, _one(request, classes.make(request.user, group, given).pk))


@router.get("/classes/{class_id}", response={200: ClassDetailOut, 404: Problem})
def get_class(request: PersonRequest, class_id: int) -> Any:
    """With everybody's VM."""
    return _one(request, class_id)


@router.post("/classes/{class_id}/retry", response={200: ClassDetailOut, **NOT_DONE})
def retry_class(request: PersonRequest, class_id: int) -> Any:
    """Make the VMs that could not be made."""
    classes.again(_one(request, class_id, "classes.manage"), request.user)
    return _one(request, class_id)


@router.post("/classes/{class_id}/actions/{verb}", response=STARTED)
def act_on_class(request: PersonRequest, class_id: int, verb: Verb, wish: ActionIn) -> Any:
    """On all its VMs: start, shutdown, force-off, reset (to the start snapshot), snapshot (a new one); until; end."""
    found = _one(request, class_id, "classes.manage")
    if verb == "end":
        cleaned(TypedForm({"typed": wish.name}, name=found.name))
    if verb == "until" and wish.until is None:
        raise Refused(_("This is no date."), field="until")
    return Status(202, class_doing.act(request.user, found, verb, wish.until))
