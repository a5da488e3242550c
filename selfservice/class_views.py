"""Classes: the card on a group's page, making one, its page with everybody's VM, what is done to all."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.models import Group
from access.rules import PersonRequest, can, find, permission_required
from access.times import end_of
from jobs.errors import Refused
from selfservice import class_doing, classes, offers, quotas, terms
from selfservice.ask_views import SHOWN_NAMES, cards
from selfservice.class_doing import BY_VERB
from selfservice.class_forms import ClassForm, UntilForm
from selfservice.class_operations import busy
from selfservice.measures import Amount
from selfservice.models import LabClass, OfferVersion
from selfservice.sizes import SIZES
from selfservice.states import OVER, RequestState
from ui.forms import TypedForm, add_refusal, number_in, posted
from ui.htmx import done_response, is_piece, job_response, note_response, render_dialog
from vms.states import ALIVE


def _group(request: PersonRequest, pk: int, permission: str = "") -> Group:
    return find(request.user, Group.objects.all(), permission, pk=pk)


def _class(request: PersonRequest, pk: int, permission: str = "") -> LabClass:
    rows = LabClass.objects.select_related("group", "version__offer", "made_by", "job")
    return find(request.user, rows.defer("version__offer__picture", "version__offer__text"), permission, pk=pk)


@require_GET
@permission_required("classes.view")
def index(request: PersonRequest, pk: int) -> HttpResponse:
    """The card on the group's page."""
    group = _group(request, pk)
    context = {"group": group, "found": classes.classes_of(group), "may_make": classes.may_make(request.user, group)}
    return render(request, "selfservice/_classes.html", context)


# --- making one ------------------------------------------------------------------------------------------------------


def _chosen(request: PersonRequest, group: Group) -> OfferVersion | None:
    """Of the address, or the only one there is."""
    rows = classes.offered(request.user, group)
    text = request.GET.get("offer", "")
    if text:
        key = number_in(text)
        if key is None:
            raise Http404
        return get_object_or_404(rows, pk=key).latest()
    found = list(rows.only("pk")[:2])
    return found[0].latest() if len(found) == 1 else None


@require_http_methods(["GET", "POST"])
@permission_required("classes.view")
def new(request: PersonRequest, pk: int) -> HttpResponse:
    """First which offer, then the rest."""
    group = _group(request, pk, "classes.manage")
    version = _chosen(request, group)
    if version is None:
        found = cards(offers.with_latest(classes.offered(request.user, group)))
        return render(request, "selfservice/class_offers.html", {"group": group, "cards": found})
    form = ClassForm(posted(request), request.FILES or None, by=request.user, group=group, offered=version)
    if form.is_bound and form.is_valid():
        try:
            made = classes.make(request.user, group, form.wish())
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return HttpResponseRedirect(made.get_absolute_url())
    several = classes.offered(request.user, group).count() > 1
    context = {"form": form, "group": group, "several": several, **_outlook(request, form)}
    return render(request, "selfservice/class_new.html", context, status=422 if form.is_bound else 200)


@require_POST
@permission_required("classes.view")
def look(request: PersonRequest, pk: int) -> HttpResponse:
    """The first names, and what it takes of the group's quota, while the form is filled in."""
    group = _group(request, pk, "classes.manage")
    version = _chosen(request, group)
    if version is None:
        raise Http404
    form = ClassForm(request.POST, by=request.user, group=group, offered=version)
    return render(request, "selfservice/_class_outlook.html", {"group": group, **_outlook(request, form)})


def _outlook(request: PersonRequest, form: ClassForm) -> dict[str, Any]:
    if form.is_bound:
        form.is_valid()
    wish = form.wish()
    if not form.is_bound:
        chosen = form.fields["people"].initial
        wish.people, wish.pattern = list(classes.candidates(form.group).filter(pk__in=chosen)), classes.PATTERN
    names, problem = [], ""
    try:
        names = classes.names_of(wish.pattern, wish.name, wish.people) if wish.pattern else []
    except Refused as refused:
        problem = str(refused.message)
    keyless = classes.without_key(wish.people)
    number, version = len(wish.people), form.offered
    until = wish.until or (timezone.now() + terms.days(version.lease_days) if version.lease_days else None)
    return {
        "offer": version.offer,
        "number": number,
        "names": names[:SHOWN_NAMES],
        "more_names": max(0, len(names) - SHOWN_NAMES),
        "problem": problem,
        "keyless": keyless[:SHOWN_NAMES],
        "more_keyless": max(0, len(keyless) - SHOWN_NAMES),
        "until": until,
        "gauges": quotas.gauges(form.group, Amount(number, number, *(number * wish.sizes[name] for name in SIZES))),
    }


# --- its page --------------------------------------------------------------------------------------------------------


@require_GET
@permission_required("classes.view")
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    """Everybody's VM. The piece that is fetched again is the head; each card fetches itself."""
    found = _class(request, pk)
    places = classes.places(request.user, found.seats.all())
    context = {"lab_class": found, "places": places, **_head(request, found, places)}
    return render(request, "selfservice/_class_head.html" if is_piece(request) else "selfservice/class.html", context)


def _head(request: PersonRequest, found: LabClass, places: list[classes.Place]) -> dict[str, Any]:
    may, states = can(request.user, "classes.manage", found), [place.request.state for place in places]
    is_over = bool(places) and all(state in OVER for state in states)
    reason = busy(found)
    return {
        "may_act": may and not is_over,
        "actions": class_doing.ACTIONS,
        "busy": reason,
        "is_over": is_over,
        "all": len(places),
        "coming": sum(place.is_coming for place in places),
        "running": sum(place.vm is not None and place.vm.observed_state in ALIVE for place in places),
        "failed": sum(state == RequestState.FAILED for state in states),
        "without_start": sum(place.vm is not None and not place.is_coming and not place.has_start for place in places),
        "offer": found.version.offer,
    }


@require_GET
@permission_required("classes.view")
def seat(request: PersonRequest, pk: int, seat: int) -> HttpResponse:
    """One card."""
    found = _class(request, pk)
    places = classes.places(request.user, found.seats.filter(pk=seat))
    if not places:
        return HttpResponse(status=204)  # the person is gone
    return render(request, "selfservice/_seat.html", {"place": places[0], "lab_class": found})


# --- what is done to all ---------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@permission_required("classes.view")
def act(request: PersonRequest, pk: int, verb: str) -> HttpResponse:
    """GET: the dialog that asks first; POST: the job."""
    found = _class(request, pk, "classes.manage")
    action = BY_VERB.get(verb)
    if action is None:
        raise Http404
    form = _form(request, found, verb)
    if request.method == "POST" and (form is None or form.is_valid()):
        day = form.cleaned_data.get("until") if form is not None else None
        try:
            job = class_doing.act(request.user, found, verb, end_of(day) if day else None)
        except Refused as refused:
            if form is None:
                return note_response(request, refused.message, found.get_absolute_url())
            add_refusal(form, refused)
        else:
            return job_response(request, job)
    vms = class_doing.concerned(request.user, found, verb) if action.operation else None
    context = {"lab_class": found, "action": action, "form": form, "vms": vms}
    status = 422 if request.method == "POST" else 200
    return render_dialog(request, "selfservice/_class_dialog.html", context, status=status)


def _form(request: HttpRequest, found: LabClass, verb: str) -> forms.Form | None:
    if verb == "until":
        return UntilForm(posted(request))
    return TypedForm(posted(request), name=found.name) if verb == "end" else None


@require_POST
@permission_required("classes.view")
def again(request: PersonRequest, pk: int) -> HttpResponse:
    found = _class(request, pk, "classes.manage")
    try:
        classes.again(found, request.user)
    except Refused as refused:
        return note_response(request, refused.message, found.get_absolute_url())
    return done_response(request, found.get_absolute_url(), _("It is tried again."))
