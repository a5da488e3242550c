"""Offers: who may ask for which, how they are made and changed, and how they look."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from access.rules import can
from audit import actions
from audit.entries import record
from jobs.errors import Refused
from selfservice.models import Approval, Offer, OfferVersion, Request
from storage import images
from storage.models import Image
from ui import live

OPEN_TO = ("is_for_everybody", "groups", "people")
COLUMNS = ("name", "summary", "text", "position")
NOT_COMPARED = {"id", "offer", "number", "made_by", "made_at"}
VERSION_COLUMNS = tuple(column.name for column in OfferVersion._meta.concrete_fields if column.name not in NOT_COMPARED)
for key, words in (
    ("selfservice.offer_made", gettext_lazy("New offer")),
    ("selfservice.offer_changed", gettext_lazy("Change offer")),
    ("selfservice.offer_archived", gettext_lazy("Archive offer")),
    ("selfservice.offer_back", gettext_lazy("Offer again")),
):
    actions.name(key, words)


def offered(user: User) -> QuerySet[Offer]:
    """What this person may ask for."""
    rows = Offer.objects.filter(archived_at=None)
    if not can(user, "selfservice.ask"):
        return rows.none()
    if can(user, "selfservice.offer"):
        return rows
    mine = Q(is_for_everybody=True) | Q(people=user) | Q(groups__members=user)
    return rows.filter(pk__in=Offer.objects.filter(mine).order_by().values("pk"))


def with_latest(rows: QuerySet[Offer]) -> list[tuple[Offer, OfferVersion]]:
    """Each with its latest version. Two queries."""
    found = list(rows.defer("picture"))
    latest = OfferVersion.objects.filter(offer__in=found).order_by("offer", "number")
    by_offer = {version.offer_id: version for version in latest.select_related("image", "pool")}
    return [(offer, by_offer[offer.pk]) for offer in found if offer.pk in by_offer]


def image_of(version: OfferVersion) -> Image | None:
    """What a VM made now would be made of; None if there is no such image (any more)."""
    if not version.is_pinned:
        return images.latest(version.family)
    return version.image if version.image is not None and version.image.is_ready else None


def usable(versions: Iterable[OfferVersion]) -> set[int]:
    """Of which of these VMs can be made: image and pool are there. One query."""
    latest = images.latest_of_each()
    return {
        version.pk
        for version in versions
        if version.pool_id is not None
        and (version.image is not None and version.image.is_ready if version.is_pinned else version.family in latest)
    }


@transaction.atomic
def save(by: User, offer: Offer | None, data: dict[str, Any]) -> Offer:
    """Make an offer, or change it: a new version if anything of how its VMs are made is another than before.

    data: the columns of both, "groups" and "people" as lists, and "picture" (bytes; None takes it away) if it changes.
    """
    is_new = offer is None
    offer = Offer() if offer is None else Offer.objects.select_for_update(of=("self",)).get(pk=offer.pk)
    for column in (*COLUMNS, "is_for_everybody"):
        setattr(offer, column, data[column])
    if "picture" in data:
        offer.picture = data["picture"]
        offer.picture_at = timezone.now() if data["picture"] else None
    if Offer.objects.filter(name=offer.name).exclude(pk=offer.pk).exists():
        raise Refused(_("There is already an offer called so."), field="name")
    offer.save()
    offer.groups.set(data["groups"])
    offer.people.set(data["people"])
    version = _version(by, offer, {name: data[name] for name in VERSION_COLUMNS})
    who = {} if offer.is_for_everybody else {"groups": _names(data["groups"]), "people": _names(data["people"])}
    record(
        "selfservice.offer_made" if is_new else "selfservice.offer_changed",
        by=by,
        on=offer,
        details={"version": version.number, "everybody": offer.is_for_everybody, **who},
    )
    live.publish("offers")
    return offer


def _names(rows: Any) -> list[str]:
    return [str(row) for row in rows]


def _version(by: User, offer: Offer, columns: dict[str, Any]) -> OfferVersion:
    before = offer.versions.order_by("-number").first()
    if before is not None and all(getattr(before, name) == value for name, value in columns.items()):
        return before
    number = (offer.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    return OfferVersion.objects.create(offer=offer, number=number, made_by=by, **columns)


def set_archived(by: User, offer: Offer, *, is_archived: bool) -> None:
    """Nobody can ask for it any more; what was made of it, and what was asked for, stays. And back."""
    offer.archived_at = timezone.now() if is_archived else None
    offer.save(update_fields=["archived_at"])
    record("selfservice.offer_archived" if is_archived else "selfservice.offer_back", by=by, on=offer)
    live.publish("offers")


def changes(version: OfferVersion, before: OfferVersion | None) -> list[str]:
    """The columns in which a version differs from the one before it."""
    if before is None:
        return []
    return [name for name in VERSION_COLUMNS if getattr(version, name) != getattr(before, name)]


def is_free(version: OfferVersion, request: Request) -> bool:
    """Whether a request for it is approved by itself."""
    if version.approval != Approval.LIMITS:
        return False
    total = {
        "free_vms": request.count,
        "free_vcpus": request.count * request.vcpus,
        "free_memory_bytes": request.count * request.memory_bytes,
        "free_disk_bytes": request.count * request.disk_bytes,
    }
    return all(getattr(version, limit) is None or value <= getattr(version, limit) for limit, value in total.items())
