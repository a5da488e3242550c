"""The buttons of a lease: extend, more time, pin, give back. What of it shows on the page of a request."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.models import User
from access.rules import PersonRequest, everywhere, find, permission_required, visible
from jobs.errors import Refused
from selfservice import deciding, leases, terms
from selfservice.lease_forms import GrantForm, LongerForm, PinForm
from selfservice.models import Request
from selfservice.request_forms import RejectForm
from selfservice.states import ENDED, LASTING, RequestState
from selfservice.steps import vms_of
from ui.forms import TypedForm, add_refusal, posted
from ui.htmx import done_response, note_response, render_dialog
from ui.text import Text
from vms.models import Vm

TEMPLATE = "selfservice/_lease_dialog.html"


def facts(user: User, found: Request, now: datetime) -> dict[str, Any]:
    """What the page of a request says of its lease, and offers to this person."""
    if found.state not in LASTING:
        return {"has_lease": False}
    at_work = leases.is_busy(found)
    busy = at_work or found.returned_at is not None
    left = terms.left(found, now)
    may = leases.may_extend(user, found) and not busy
    decides = deciding.may_decide(user, found) and (found.asker_id != user.pk or everywhere(user, "vms.create"))
    has_wish = found.longer_at is not None
    return {
        "has_lease": True,
        "lease": left,
        "is_over": found.state in ENDED,
        "is_archived": found.state == RequestState.ARCHIVED,
        "at_work": at_work,
        "is_late": left is not None and now - left.until > 3 * terms.look_every() and found.pinned_at is None,
        "one_click": terms.one_click(found, now) if may else None,
        "may_ask_longer": may and found.until is not None and not has_wish,
        "may_decide_longer": has_wish and decides and not busy,
        "may_keep": may and found.unused_at is not None,
        "may_return": leases.may_return(user, found) and not busy and found.pinned_at is None,
        "may_pin": leases.may_pin(user) and not busy and found.until is not None,
        "unused_days": settings.LEASE_UNUSED_DAYS,
    }


def _find(request: PersonRequest, pk: int) -> Request:
    return find(request.user, deciding.rows().select_related("job"), pk=pk)


@require_GET
@permission_required("vms.view")
def of_vm(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """The lease of the request that a VM was made for, for the VM's page: nothing if there is none that one may see."""
    vm = find(request.user, Vm.objects.only("pk", "uuid"), uuid=uuid)
    rows = deciding.rows().select_related("job").filter(reservations__vm=vm, state__in=LASTING)
    found = visible(request.user, rows).first()
    if found is None:
        return HttpResponse("")
    context = {"wish": found, "vm": vm, **facts(request.user, found, timezone.now())}
    return render(request, "selfservice/_lease_of_vm.html", context)


def _check(allowed: bool) -> None:
    if not allowed:
        raise PermissionDenied


def _click(request: PersonRequest, found: Request, act: Callable[[], Any], done: Text) -> HttpResponse:
    try:
        act()
    except Refused as refused:
        return note_response(request, refused.message, found.get_absolute_url())
    return done_response(request, found.get_absolute_url(), done)


def _dialog(
    request: PersonRequest, found: Request, form: forms.Form, act: Callable[[], Any], done: Text, words: dict[str, Any]
) -> HttpResponse:
    if form.is_bound and form.is_valid():
        try:
            act()
        except Refused as refused:
            add_refusal(form, refused)
        else:
            return done_response(request, found.get_absolute_url(), done)
    context = {"form": form, "wish": found, "url": request.path, **words}
    return render_dialog(request, TEMPLATE, context, status=422 if form.is_bound else 200)


@require_POST
@permission_required("selfservice.view")
def extend(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    done = _("Extended.")
    if found.state in ENDED:
        done = _("Extended: its VMs are off, and can be started again.")
    return _click(request, found, lambda: leases.extend(found, request.user, now=timezone.now()), done)


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.view")
def longer(request: PersonRequest, pk: int) -> HttpResponse:
    """A wish for more time than the offer gives."""
    found = _find(request, pk)
    _check(leases.may_extend(request.user, found))
    form = LongerForm(posted(request), initial={"days": found.lease_days})

    def act() -> None:
        data = form.cleaned_data
        leases.ask_longer(found, request.user, data["days"], data["why"], now=timezone.now())

    words = {"title": _("More time"), "button": _("Ask for it"), "explains": "longer"}
    return _dialog(request, found, form, act, _("Asked for: somebody decides about it."), words)


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.view")
def grant(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    _check(deciding.may_decide(request.user, found))
    form = GrantForm(posted(request), initial={"days": found.longer_days})

    def act() -> None:
        data = form.cleaned_data
        leases.grant(found, request.user, data["days"], data["why"], now=timezone.now())

    words = {"title": _("Give more time"), "button": _("Give"), "explains": "wish"}
    return _dialog(request, found, form, act, _("More time given."), words)


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.view")
def refuse(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    _check(deciding.may_decide(request.user, found))
    form = RejectForm(posted(request))
    words = {"title": _("No more time"), "button": _("Reject"), "is_bad": True, "explains": "wish"}

    def act() -> None:
        leases.refuse(found, request.user, form.cleaned_data["why"])

    return _dialog(request, found, form, act, _("Rejected."), words)


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.view")
def pin(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    _check(leases.may_pin(request.user))
    form = PinForm(posted(request))

    def act() -> None:
        leases.pin(found, request.user, form.cleaned_data["why"], now=timezone.now())

    words = {"title": _("Pin"), "button": _("Pin"), "explains": "pin"}
    return _dialog(request, found, form, act, _("Pinned: it stays as it is."), words)


@require_POST
@permission_required("selfservice.view")
def unpin(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    done = _("No longer pinned: its lease goes on.")
    return _click(request, found, lambda: leases.unpin(found, request.user, now=timezone.now()), done)


@require_POST
@permission_required("selfservice.view")
def keep(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    done = _("Good: it stays.")
    return _click(request, found, lambda: leases.keep(found, request.user, now=timezone.now()), done)


@require_http_methods(["GET", "POST"])
@permission_required("selfservice.view")
def give_back(request: PersonRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    _check(leases.may_return(request.user, found))
    form = TypedForm(posted(request), name=found.pattern)
    words = {"title": _("Give back"), "button": _("Delete the VMs"), "is_bad": True, "explains": "return"}

    def act() -> None:
        leases.give_back(found, request.user, now=timezone.now())

    context = {**words, "vms": vms_of(found)}
    return _dialog(request, found, form, act, _("Given back: its VMs are being deleted."), context)
