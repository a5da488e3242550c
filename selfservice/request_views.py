"""The pages of requests: one's own, all one may see, those to decide, and one of them."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.rules import PersonRequest, can, everywhere, find, permission_required, visible
from jobs.errors import Refused
from selfservice import deciding, lease_views, leases, quotas, terms
from selfservice.deciding import rows, undecided
from selfservice.first_boot import Field
from selfservice.models import Request
from selfservice.request_forms import ApproveForm, RejectForm
from selfservice.states import BUSY, RequestState
from selfservice.steps import vms_of
from ui.forms import add_refusal, number_in, posted
from ui.htmx import done_response, is_piece, note_response, render_dialog

PER_PAGE = 50
MOST_AT_ONCE = 200
LEASES = {
    "soon": gettext_lazy("ends soon"),
    "ended": gettext_lazy("ended"),
    "unused": gettext_lazy("nobody uses it"),
    "longer": gettext_lazy("more time asked for"),
    "pinned": gettext_lazy("pinned"),
}


def shell(request: PersonRequest, tab: str) -> dict[str, Any]:
    """What the tabs need."""
    others = visible(request.user, Request.objects.exclude(asker=request.user))
    return {
        "tab": tab,
        "can_decide": can(request.user, "selfservice.decide"),
        "can_ask": can(request.user, "selfservice.ask"),
        "sees_others": everywhere(request.user, "selfservice.view") or others.exists(),
        "waiting": _waiting(request) if can(request.user, "selfservice.decide") else 0,
    }


def _waiting(request: PersonRequest) -> int:
    return undecided(request.user).count() + leases.undecided(request.user).count()


def _list(request: PersonRequest, found: QuerySet[Request], tab: str) -> HttpResponse:
    now, state, lease = timezone.now(), request.GET.get("state", ""), request.GET.get("lease", "")
    if state in RequestState.values:
        found = found.filter(state=state)
    if lease in LEASES:
        found = leases.filtered(found, lease, now)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    for one in page.object_list:
        one.left = terms.left(one, now)  # type: ignore[attr-defined]
    context = {"page": page, "state": state, "states": RequestState.choices, "url": request.path}
    context |= {"lease": lease, "leases": list(LEASES.items()), **shell(request, tab)}
    return render(request, "selfservice/_requests.html" if is_piece(request) else "selfservice/requests.html", context)


@require_GET
@permission_required("selfservice.view")
def mine(request: PersonRequest) -> HttpResponse:
    return _list(request, rows().filter(asker=request.user), "mine")


@require_GET
@permission_required("selfservice.view")
def others(request: PersonRequest) -> HttpResponse:
    """All that this person may see."""
    return _list(request, visible(request.user, rows()), "all")


@require_GET
@permission_required("selfservice.decide")
def inbox(request: PersonRequest) -> HttpResponse:
    page = Paginator(undecided(request.user), PER_PAGE).get_page(request.GET.get("page"))
    longer = leases.undecided(request.user)[:MOST_AT_ONCE] if page.number == 1 else []
    context = {"page": page, "longer": longer, **shell(request, "inbox")}
    return render(request, "selfservice/_inbox.html" if is_piece(request) else "selfservice/inbox.html", context)


def _find(request: PersonRequest, pk: int, permission: str = "") -> Request:
    return find(request.user, rows().select_related("job", "version__image", "pinned_by"), permission, pk=pk)


@require_GET
@permission_required("selfservice.view")
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    user, version = request.user, found.version
    is_open = found.state == RequestState.PENDING
    may_decide = deciding.may_decide(user, found)
    context = {
        "wish": found,
        "terms": version,
        "events": found.events.select_related("by"),
        "vms": visible(user, vms_of(found).select_related("host")),
        "values": [(one.shown, found.values.get(one.name)) for one in Field.all_of(version.fields)],
        "keys": [_shown_key(text) for text in found.ssh_keys],
        "is_mine": found.asker_id == user.pk,
        "is_busy": found.state in BUSY,
        "may_decide": is_open and may_decide and (found.asker_id != user.pk or everywhere(user, "vms.create")),
        "may_withdraw": is_open and found.asker_id == user.pk,
        "may_go_on": found.state == RequestState.FAILED and deciding.may_go_on(user, found),
        "job": found.job if everywhere(user, "jobs.all") else None,
        "sees_offer": can(user, "selfservice.catalogue"),
        **lease_views.facts(user, found, timezone.now()),
        "gauges": quotas.gauges(found.asker) if is_open and may_decide else [],
        "group_gauges": quotas.gauges(found.group) if is_open and may_decide and found.group else [],
    }
    return render(request, "selfservice/_request.html" if is_piece(request) else "selfservice/request.html", context)


def _shown_key(text: str) -> str:
    """What its owner wrote behind it, or the end of it."""
    return (text.split(None, 2) + ["", ""])[2].strip() or f"…{text.split()[1][-16:]}"


def _back(found: Request) -> str:
    return found.get_absolute_url()


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.view")
def approve(request: PersonRequest, pk: int) -> HttpResponse:
    """As it is, or with changes."""
    found = _find(request, pk, "selfservice.decide")
    form = ApproveForm(posted(request), request=found)
    if form.is_bound and form.is_valid():
        try:
            deciding.approve(found, request.user, why=form.cleaned_data["why"], changes=form.changes())
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return done_response(request, _back(found), _("Approved: it is being built."))
    context = {"form": form, "wish": found, "url": reverse("selfservice:approve", args=[pk])}
    return render_dialog(request, "selfservice/_approve_dialog.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.view")
def reject(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk, "selfservice.decide")
    form = RejectForm(posted(request))
    if form.is_bound and form.is_valid():
        try:
            deciding.reject(found, request.user, form.cleaned_data["why"])
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return done_response(request, _back(found), _("Rejected."))
    context = {"form": form, "wish": found, "url": reverse("selfservice:reject", args=[pk])}
    return render_dialog(request, "selfservice/_reject_dialog.html", context, status=422 if form.is_bound else 200)


@require_POST
@permission_required("selfservice.decide")
def decide(request: PersonRequest) -> HttpResponse:
    """Several at once: each by itself, so that one that can't be does not hold up the others."""
    keys = [pk for text in request.POST.getlist("requests")[:MOST_AT_ONCE] if (pk := number_in(text)) is not None]
    verb, why, url = request.POST.get("verb", ""), request.POST.get("why", "").strip(), reverse("selfservice:inbox")
    if not keys or verb not in {"approve", "reject"}:
        return note_response(request, _("Choose at least one request."), url)
    done, refusals = 0, []
    for one in undecided(request.user).filter(pk__in=keys):
        try:
            if verb == "approve":
                deciding.approve(one, request.user, why=why)
            else:
                deciding.reject(one, request.user, why)
            done += 1
        except Refused as refused:
            refusals.append(f"{one}: {refused.message}")
    if not done:
        return note_response(request, " ".join(refusals) or _("They were decided meanwhile."), url)
    words = {
        "approve": ngettext("%(n)s approved.", "%(n)s approved.", done),
        "reject": ngettext("%(n)s rejected.", "%(n)s rejected.", done),
    }
    return done_response(request, url, " ".join([words[verb] % {"n": done}, *refusals]))


def _act(request: PersonRequest, pk: int, verb: str, message: str) -> HttpResponse:
    found = _find(request, pk)
    try:
        getattr(deciding, verb)(found, request.user)
    except Refused as refused:
        return note_response(request, refused.message, _back(found))
    return done_response(request, _back(found), message)


@require_POST
@permission_required("selfservice.view")
def withdraw(request: PersonRequest, pk: int) -> HttpResponse:
    return _act(request, pk, "withdraw", _("Withdrawn: nothing is reserved for it any more."))


@require_POST
@permission_required("selfservice.view")
def retry(request: PersonRequest, pk: int) -> HttpResponse:
    return _act(request, pk, "retry", _("It is tried again."))


@require_POST
@permission_required("selfservice.view")
def give_up(request: PersonRequest, pk: int) -> HttpResponse:
    return _act(request, pk, "give_up", _("Given up: what was not made is no longer reserved."))
