"""Whom a VM is shared with, and links to its screen. Changed without a job."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router, Schema, Status
from pydantic import Field

from access import shares
from access.models import Grant, User
from access.rules import PersonRequest
from api.forms import Invalid
from api.schemas import In, Key, Problem
from api.snapshots import find
from vms import links
from vms.models import ScreenLink
from vms.views.shares import announce

router = Router(tags=["vms"])
NOT_DONE = {403: Problem, 404: Problem, 409: Problem, 422: Problem}


class ShareOut(Schema):
    id: int
    person: str
    way: str = Field(alias="role")
    until: datetime | None
    given_at: datetime

    @staticmethod
    def resolve_person(grant: Grant) -> str:
        return grant.to_user.username if grant.to_user else ""


class ShareIn(In):
    person: Annotated[str, Field(max_length=150, description="their username")]
    way: Literal["user", "console"] = Field("user", description="user: power, console, snapshots; console: that only")
    until: datetime | None = None


class LinkOut(Schema):
    id: int
    made_at: datetime
    until: datetime
    seen_at: datetime | None


class NewLinkOut(LinkOut):
    link: str = Field(description="shown this once")


class LinkIn(In):
    days: Annotated[int, Field(ge=1, le=links.MOST_DAYS)] = links.USUAL_DAYS


@router.get("/{uuid}/shares", response={200: list[ShareOut], **NOT_DONE})
def list_shares(request: PersonRequest, uuid: UUID) -> QuerySet[Grant]:
    """For who may share it."""
    return shares.of(find(request, uuid, shares.PERMISSION))


@router.post("/{uuid}/shares", response={201: ShareOut, **NOT_DONE})
def share_vm(request: PersonRequest, uuid: UUID, wish: ShareIn) -> Any:
    """With a person; what they had of it by sharing is replaced."""
    vm = find(request, uuid, shares.PERMISSION)
    person = User.objects.filter(username=wish.person, is_active=True).first()
    if person is None:
        raise Invalid({"person": [_("Nobody is called so.")]})
    until = wish.until
    if until is not None and timezone.is_naive(until):
        until = timezone.make_aware(until)
    given = shares.give(request.user, vm, person, wish.way, until)
    announce(given, vm)
    return Status(201, given)


@router.delete("/{uuid}/shares/{share_id}", response={204: None, **NOT_DONE})
def end_share(request: PersonRequest, uuid: UUID, share_id: Key) -> Any:
    """At once."""
    shares.end(request.user, find(request, uuid, shares.PERMISSION), share_id)
    return Status(204, None)


@router.get("/{uuid}/links", response={200: list[LinkOut], **NOT_DONE})
def list_links(request: PersonRequest, uuid: UUID) -> list[ScreenLink]:
    """Those that are still good; not the links themselves, which nobody keeps."""
    return links.of(find(request, uuid, shares.PERMISSION))


@router.post("/{uuid}/links", response={201: NewLinkOut, **NOT_DONE})
def make_link(request: PersonRequest, uuid: UUID, wish: LinkIn) -> Any:
    """A link to look at the screen without a login."""
    made, secret = links.make(request.user, find(request, uuid, shares.PERMISSION), wish.days)
    said = {name: getattr(made, name) for name in ("id", "made_at", "until", "seen_at")}
    return Status(201, {**said, "link": request.build_absolute_uri(reverse("vms:look", args=[secret]))})


@router.delete("/{uuid}/links/{link_id}", response={204: None, **NOT_DONE})
def end_link(request: PersonRequest, uuid: UUID, link_id: Key) -> Any:
    """At once: who looks by it is shut out within seconds."""
    find(request, uuid, shares.PERMISSION).screen_links.filter(pk=link_id).delete()
    return Status(204, None)
