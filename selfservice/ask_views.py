"""What people may ask for, as cards, and the form to ask by."""

from typing import Any

from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.models import Group
from access.rules import PersonRequest, can, permission_required
from jobs.errors import Refused
from selfservice import asking, naming, offers, quotas, terms
from selfservice.markdown import rendered
from selfservice.measures import Amount
from selfservice.models import Offer, OfferVersion, Request
from selfservice.request_forms import AskForm
from selfservice.usage import Holder
from ui.forms import add_refusal
from ui.htmx import is_piece

SHOWN_NAMES = 6


def cards(rows: list[tuple[Offer, OfferVersion]]) -> list[dict[str, Any]]:
    usable = offers.usable(version for _offer, version in rows)
    return [{"offer": offer, "version": version, "is_ready": version.pk in usable} for offer, version in rows]


@require_GET
@permission_required("selfservice.ask")
def index(request: PersonRequest) -> HttpResponse:
    """The cards."""
    found = cards(offers.with_latest(offers.offered(request.user)))
    context = {"cards": found, "can_offer": can(request.user, "selfservice.offer")}
    context["sees_all"] = can(request.user, "selfservice.catalogue")
    return render(request, "selfservice/_offers.html" if is_piece(request) else "selfservice/offers.html", context)


def offer_of(request: PersonRequest, pk: int) -> Offer:
    return get_object_or_404(offers.offered(request.user), pk=pk)


@require_GET
@cache_control(private=True, max_age=3600)
def picture(request: PersonRequest, pk: int) -> HttpResponse:
    """For who may ask for it, and who sees all offers."""
    rows = Offer.objects.all() if can(request.user, "selfservice.catalogue") else offers.offered(request.user)
    found = get_object_or_404(rows, pk=pk)
    if not found.picture:
        raise Http404
    return HttpResponse(bytes(found.picture), content_type="image/webp")


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.ask")
def ask(request: PersonRequest, pk: int) -> HttpResponse:
    offer = offer_of(request, pk)
    version = offer.latest()
    form = AskForm(request.POST if request.method == "POST" else None, user=request.user, offered=version)
    if form.is_bound and form.is_valid():
        try:
            made = asking.ask(request.user, version, form.wish())
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return HttpResponseRedirect(made.get_absolute_url())
    context = {"form": form, **page(offer, version), **outlook(form, request.user, form.wish_now())}
    return render(request, "selfservice/ask.html", context, status=422 if form.is_bound else 200)


def page(offer: Offer, version: OfferVersion) -> dict[str, Any]:
    return {"offer": offer, "text": rendered(offer.text), "is_ready": version.pk in offers.usable([version])}


@require_POST
@permission_required("selfservice.ask")
def look(request: PersonRequest, pk: int) -> HttpResponse:
    """What it would leave of the quota, and when it would expire, while the form is filled in."""
    version = offer_of(request, pk).latest()
    form = AskForm(request.POST, user=request.user, offered=version)
    form.full_clean()
    context = {"offer": version.offer, **outlook(form, request.user, form.wish_now())}
    return render(request, "selfservice/_outlook.html", context)


def outlook(form: AskForm, holder: Holder | None, wish: dict[str, Any]) -> dict[str, Any]:
    """holder None: somebody who has nothing yet, and the quota that is for everybody."""
    version, count = form.offered, max(1, min(wish["count"], form.offered.most_vms))
    more = Amount(count, count, *(count * wish[name] for name in ("vcpus", "memory_bytes", "disk_bytes")))
    group: Group | None = wish["group"]
    names = _names(wish["pattern"], count)
    draft = Request(
        version=version, count=count, **{name: wish[name] for name in ("vcpus", "memory_bytes", "disk_bytes")}
    )
    return {
        "gauges": quotas.gauges(holder, more),
        "group": group,
        "group_gauges": quotas.gauges(group, more) if group else [],
        "until": None if version.lease_days is None else timezone.now() + terms.days(version.lease_days),
        "names": names[:SHOWN_NAMES],
        "more_names": max(0, len(names) - SHOWN_NAMES),
        "is_free": offers.is_free(version, draft),
    }


def _names(pattern: str, count: int) -> list[str]:
    try:
        naming.check(pattern, count)
    except Refused:
        return []
    return naming.first(pattern, count)


@require_GET
@permission_required("selfservice.catalogue")
def preview(request: PersonRequest, pk: int) -> HttpResponse:
    """Card and form as somebody sees them who has nothing yet. Nothing can be asked for here."""
    offer = get_object_or_404(Offer, pk=pk)
    version = offer.latest()
    form = AskForm(user=request.user, offered=version)
    context = {
        "form": form,
        "card": cards([(offer, version)])[0],
        "is_preview": True,
        **page(offer, version),
        **outlook(form, None, form.wish_now()),
    }
    return render(request, "selfservice/preview.html", context)
