"""Offers: what one may ask for; and for who makes them: all with their terms, new ones, new versions, archived."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import F
from django.http import QueryDict
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from pydantic import Field

from access.rules import PersonRequest
from api.forms import cleaned
from api.rights import require
from api.schemas import In, Key, Problem
from selfservice import offers
from selfservice.models import Offer, OfferVersion
from selfservice.offer_forms import OfferForm
from vms.create_form import LATEST

router = Router(tags=["offers"])
SIZES = ("vcpus", "memory_bytes", "disk_bytes")
FREE = ("vms", "vcpus", "memory_bytes", "disk_bytes")
SAME = ("login", "user_data", "fields_text", "lease_days", "most_lease_days", "approval", "most_vms", "network")
ABOUT = ("name", "summary", "text", "position", "is_for_everybody", "groups")
Count = Annotated[int, Field(ge=1, le=100_000)]
Size = Annotated[int, Field(ge=1, le=2**62)]
NOT_DONE = {403: Problem, 404: Problem, 409: Problem, 422: Problem}


class Range(Schema):
    least: int
    usual: int
    most: int


class FieldOut(Schema):
    name: str
    kind: str
    label: str
    is_required: bool
    choices: list[str]


class OfferOut(Schema):
    """`version` goes with a request: whoever asks, asks for what they have seen."""

    id: int
    name: str
    summary: str
    text: str
    version: int
    most_vms: int
    vcpus: Range
    memory_bytes: Range
    disk_bytes: Range
    lease_days: int | None
    most_lease_days: int | None
    fields: list[FieldOut]
    approval: Literal["always", "limits"] = Field(description="limits: approved by itself, up to `free`")
    free: dict[str, int | None] = Field(description="per request; null: as much as the offer allows")


class RangeIn(In):
    least: Size
    usual: Size
    most: Size


class FreeIn(In):
    """In one request together; null: however much the offer allows."""

    vms: Count | None = None
    vcpus: Count | None = None
    memory_bytes: Size | None = None
    disk_bytes: Size | None = None


class OfferChangeIn(In):
    """What is left out stays."""

    name: str = Field("", max_length=100)
    summary: str = Field("", max_length=200)
    text: str = Field("", max_length=20_000, description="Markdown")
    position: int = Field(100, ge=0, le=10_000, description="its place in the list")
    image: int | str = Field("", description="an image's number, or a family's name for its latest version")
    pool: Key = Field(1, description="for the disks")
    network: str = Field("", description="network:default, or bridge:br0")
    most_vms: Count = Field(1, description="in one request")
    vcpus: RangeIn = Field(default_factory=lambda: RangeIn(least=1, usual=1, most=2))
    memory_bytes: RangeIn = Field(default_factory=lambda: RangeIn(least=2**30, usual=2 * 2**30, most=4 * 2**30))
    disk_bytes: RangeIn = Field(default_factory=lambda: RangeIn(least=10 * 2**30, usual=10 * 2**30, most=20 * 2**30))
    login: str = Field("", max_length=32, description="the user in the VM; empty: the image's own")
    user_data: str = Field("", max_length=100_000, description="first-boot template; <name> is what was filled in")
    fields_text: str = Field("", max_length=10_000, description="what is filled in: a line each, name: kind: label")
    lease_days: Count | None = Field(14, description="null: they do not expire")
    most_lease_days: Count | None = Field(60, description="with extending; null: no limit")
    approval: Literal["always", "limits"] = Field("always", description="limits: by itself, up to `free`")
    free: FreeIn = Field(default_factory=lambda: FreeIn.model_validate({}))
    is_for_everybody: bool = True
    groups: list[Key] = []
    people: list[str] = Field([], description="usernames")


class OfferIn(OfferChangeIn):
    name: str = Field(min_length=1, max_length=100)
    image: int | str = Field(description="an image's number, or a family's name for its latest version")
    pool: Key = Field(description="for the disks")
    network: str = Field(description="network:default, or bridge:br0")


class FullOfferOut(OfferOut):
    position: int
    is_archived: bool
    is_for_everybody: bool
    groups: list[int]
    people: list[str]
    family: str
    image: int | None = Field(description="null: the latest of the family")
    pool: int | None
    network: str
    login: str
    user_data: str


class VersionOut(Schema):
    number: int
    made_by: str | None
    made_at: datetime
    changed: list[str] = Field(description="in which of its terms it differs from the one before")


def told_offer(offer: Offer, version: OfferVersion) -> dict[str, Any]:
    sizes = {
        name: {
            "least": getattr(version, f"least_{name}"),
            "usual": getattr(version, name),
            "most": getattr(version, f"most_{name}"),
        }
        for name in ("vcpus", "memory_bytes", "disk_bytes")
    }
    same = ("most_vms", "lease_days", "most_lease_days", "fields", "approval")
    about = {name: getattr(offer, name) for name in ("id", "name", "summary", "text")}
    return {
        **about,
        "version": version.number,
        **sizes,
        **{name: getattr(version, name) for name in same},
        "free": {name: getattr(version, f"free_{name}") for name in FREE},
    }


def full(offer: Offer, version: OfferVersion) -> dict[str, Any]:
    same = ("family", "network", "login", "user_data")
    return {
        **told_offer(offer, version),
        **{name: getattr(version, name) for name in same},
        **{name: getattr(offer, name) for name in ("position", "is_archived", "is_for_everybody")},
        "groups": [group.pk for group in offer.groups.all()],
        "people": [person.username for person in offer.people.all()],
        "image": version.image_id if version.is_pinned else None,
        "pool": version.pool_id,
    }


def saved(request: PersonRequest, offer: Offer | None, wish: OfferChangeIn) -> dict[str, Any]:
    form = OfferForm(_as_posted(offer, wish.dict(exclude_unset=offer is not None)), offer=offer)
    cleaned(form)
    done = offers.save(request.user, offer, form.values())
    return full(done, done.latest())


def _as_posted(offer: Offer | None, given: dict[str, Any]) -> QueryDict:
    """As the page's form would send it; what was left out is what the form begins with."""
    found: dict[str, Any] = dict(OfferForm(offer=offer).initial) if offer is not None else {}
    found["groups"] = [group.pk for group in found.get("groups", [])]
    found |= {name: given[name] for name in (*SAME, *ABOUT) if name in given}
    if "image" in given:
        found["image"] = str(given["image"]) if isinstance(given["image"], int) else f"{LATEST}{given['image']}"
    if "pool" in given:
        found["pool"] = str(given["pool"])
    if "people" in given:
        found["people"] = " ".join(given["people"])
    for name in SIZES:
        if name in given:
            size = given[name]
            found |= {f"least_{name}": size["least"], name: size["usual"], f"most_{name}": size["most"]}
    if "free" in given:
        found |= {f"free_{name}": value for name, value in given["free"].items()}
    posted = QueryDict(mutable=True)
    for name, value in found.items():
        if isinstance(value, list):
            posted.setlist(name, value)
        elif value is not None and value is not False:
            posted[name] = value
    return posted


@router.get("/offers/all", response=list[FullOfferOut])
def list_all_offers(request: PersonRequest) -> Any:
    """Every offer with its terms, the archived ones last."""
    require(request, "selfservice.catalogue")
    rows = Offer.objects.order_by(F("archived_at").asc(nulls_first=True), "position", "name")
    pairs = offers.with_latest(rows.prefetch_related("groups", "people"))
    return [full(offer, version) for offer, version in pairs]


@router.get("/offers", response=list[OfferOut])
def list_offers(request: PersonRequest) -> Any:
    """What one may ask for."""
    require(request, "selfservice.ask")
    return [told_offer(offer, version) for offer, version in offers.with_latest(offers.offered(request.user))]


@router.get("/offers/{offer_id}", response={200: OfferOut, 404: Problem})
def get_offer(request: PersonRequest, offer_id: int) -> Any:
    """One offer, as it can be asked for now."""
    require(request, "selfservice.ask")
    offer = get_object_or_404(offers.offered(request.user), pk=offer_id)
    return told_offer(offer, offer.latest())


@router.post("/offers", response={201: FullOfferOut, **NOT_DONE})
def add_offer(request: PersonRequest, wish: OfferIn) -> Any:
    """A new offer. Its picture is set on its page."""
    require(request, "selfservice.offer")
    return Status(201, saved(request, None, wish))


@router.patch("/offers/{offer_id}", response={200: FullOfferOut, **NOT_DONE})
def change_offer(request: PersonRequest, offer_id: int, wish: OfferChangeIn) -> Any:
    """A new version, if the terms change; what was made of the offer stays as it is."""
    require(request, "selfservice.offer")
    return saved(request, get_object_or_404(Offer, pk=offer_id), wish)


@router.get("/offers/{offer_id}/versions", response={200: list[VersionOut], 404: Problem})
def list_offer_versions(request: PersonRequest, offer_id: int) -> Any:
    """Its versions, newest first."""
    require(request, "selfservice.catalogue")
    offer = get_object_or_404(Offer, pk=offer_id)
    versions = list(offer.versions.select_related("made_by").order_by("-number"))
    return [
        {
            "number": version.number,
            "made_by": version.made_by.username if version.made_by else None,
            "made_at": version.made_at,
            "changed": offers.changes(version, before),
        }
        for version, before in zip(versions, [*versions[1:], None], strict=True)
    ]


@router.post("/offers/{offer_id}/archive", response={200: FullOfferOut, **NOT_DONE})
def archive_offer(request: PersonRequest, offer_id: int) -> Any:
    """Nobody can ask for it any more; what was made of it, and what was asked for, stays."""
    return _archived(request, offer_id, is_archived=True)


@router.post("/offers/{offer_id}/bring-back", response={200: FullOfferOut, **NOT_DONE})
def bring_back_offer(request: PersonRequest, offer_id: int) -> Any:
    """It can be asked for again."""
    return _archived(request, offer_id, is_archived=False)


def _archived(request: PersonRequest, offer_id: int, *, is_archived: bool) -> dict[str, Any]:
    require(request, "selfservice.offer")
    offer = get_object_or_404(Offer, pk=offer_id)
    offers.set_archived(request.user, offer, is_archived=is_archived)
    return full(offer, offer.latest())
