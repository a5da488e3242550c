"""The administrators' pages of offers: all of them, one with its versions, making and changing."""

from typing import Any

from django.db.models import Count, F
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.rules import PersonRequest, can, permission_required
from hosts.models import Host
from jobs.errors import Refused
from selfservice import offers
from selfservice.markdown import rendered
from selfservice.models import Offer, OfferVersion, Request
from selfservice.offer_forms import OfferForm
from selfservice.states import OVER
from storage import images
from ui import text
from ui.forms import add_refusal
from ui.htmx import done_response, is_piece
from vms.create_form import usable_pools


@require_GET
@permission_required("selfservice.catalogue")
def everything(request: PersonRequest) -> HttpResponse:
    """Also those that are archived."""
    rows = offers.with_latest(
        Offer.objects.order_by(F("archived_at").asc(nulls_first=True), "position", "name").prefetch_related(
            "groups", "people"
        )
    )
    usable = offers.usable(version for _offer, version in rows)
    open_ = Request.objects.exclude(state__in=OVER).order_by().values("version__offer").annotate(n=Count("pk"))
    asked = {row["version__offer"]: row["n"] for row in open_}
    context = {
        "rows": [(offer, version, asked.get(offer.pk, 0), version.pk in usable) for offer, version in rows],
        "can_offer": can(request.user, "selfservice.offer"),
    }
    return render(
        request, "selfservice/_all_offers.html" if is_piece(request) else "selfservice/all_offers.html", context
    )


def shown(version: OfferVersion, name: str) -> str:
    value = getattr(version, name)
    if name.endswith("_bytes"):
        return text.size(value)
    if name == "fields":
        return ", ".join(one["name"] for one in value) or text.DASH
    if name == "user_data":
        return _("%(n)s lines") % {"n": len(value.splitlines())} if value else text.DASH
    return text.DASH if value in (None, "") else str(value)


def history(offer: Offer) -> list[dict[str, Any]]:
    """Its versions, newest first, each with what it changed."""
    versions = list(
        offer.versions.select_related("made_by", "image", "pool").annotate(asked=Count("requests")).order_by("-number")
    )
    found = []
    for version, before in zip(versions, [*versions[1:], None], strict=True):
        changed = [
            (name.replace("_bytes", "").replace("_", " "), shown(before, name), shown(version, name))
            for name in offers.changes(version, before)
            if before is not None
        ]
        found.append({"version": version, "changes": changed})
    return found


@require_GET
@permission_required("selfservice.catalogue")
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    offer = get_object_or_404(Offer.objects.prefetch_related("groups", "people"), pk=pk)
    version = offer.latest()
    context = {
        "offer": offer,
        "terms": version,
        "text": rendered(offer.text),
        "history": history(offer),
        "is_ready": version.pk in offers.usable([version]),
        "image": offers.image_of(version),
        "can_offer": can(request.user, "selfservice.offer"),
    }
    return render(request, "selfservice/offer.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.offer")
def add(request: PersonRequest) -> HttpResponse:
    return _edit(request, None)


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.offer")
def edit(request: PersonRequest, pk: int) -> HttpResponse:
    return _edit(request, get_object_or_404(Offer, pk=pk))


def _edit(request: PersonRequest, offer: Offer | None) -> HttpResponse:
    is_post = request.method == "POST"
    form = OfferForm(request.POST if is_post else None, request.FILES if is_post else None, offer=offer)
    if form.is_bound and form.is_valid():
        try:
            saved = offers.save(request.user, offer, form.values())
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return HttpResponseRedirect(saved.get_absolute_url())
    context = {
        "form": form,
        "offer": offer,
        "has_host": Host.objects.filter(is_managed=True).exists(),
        "has_pool": any(usable_pools()),
        "has_image": images.ready(is_iso=False).exists(),
    }
    return render(request, "selfservice/offer_edit.html", context, status=422 if form.is_bound else 200)


def _set_archived(request: PersonRequest, pk: int, *, is_archived: bool, message: str) -> HttpResponse:
    offer = get_object_or_404(Offer, pk=pk)
    offers.set_archived(request.user, offer, is_archived=is_archived)
    return done_response(request, offer.get_absolute_url(), message)


@require_POST
@permission_required("selfservice.offer")
def archive(request: PersonRequest, pk: int) -> HttpResponse:
    return _set_archived(request, pk, is_archived=True, message=_("Archived: nobody can ask for it any more."))


@require_POST
@permission_required("selfservice.offer")
def bring_back(request: PersonRequest, pk: int) -> HttpResponse:
    return _set_archived(request, pk, is_archived=False, message=_("It can be asked for again."))
