"""Whom a VM is shared with, and the links to its screen: the page of who it belongs to."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access import shares
from access.models import Grant, User
from access.people import Denied
from access.rules import PersonRequest, permission_required
from access.times import end_of
from notices.tell import tell
from ui.forms import add_refusal, posted
from ui.htmx import done_response, is_piece, render_dialog
from vms import links
from vms.models import Vm
from vms.views.find import find_vm
from vms.views.pages import frame

RADIO = forms.RadioSelect(attrs={"class": "form-check-input"})


class ShareForm(forms.Form):
    person = forms.CharField(
        label=gettext_lazy("With whom"),
        max_length=150,
        help_text=gettext_lazy("Their username, as they log in with it."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    way = forms.ChoiceField(
        label=gettext_lazy("They may"), choices=list(shares.WAYS.items()), widget=RADIO, initial="user"
    )
    until = forms.DateField(
        label=gettext_lazy("Until the end of"),
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Empty: until you end it."),
    )

    def clean_person(self) -> User:
        found = User.objects.filter(username=self.cleaned_data["person"].strip(), is_active=True).first()
        if found is None:
            raise ValidationError(_("Nobody is called so."))
        return found

    def clean_until(self) -> Any:
        day = self.cleaned_data["until"]
        return end_of(day) if day else None


class LinkForm(forms.Form):
    days = forms.IntegerField(
        label=gettext_lazy("For how many days"),
        min_value=1,
        max_value=links.MOST_DAYS,
        initial=links.USUAL_DAYS,
    )


def url_of(vm: Vm) -> str:
    return reverse("vms:shares", args=[vm.uuid])


@require_GET
@permission_required("vms.view")
def index(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, shares.PERMISSION)
    context = {**frame(request, vm, "shares"), "shares": shares.of(vm), "links": links.of(vm), "ways": shares.WAYS}
    return render(request, "vms/_shares.html" if is_piece(request) else "vms/shares.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def share(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, shares.PERMISSION)
    form = ShareForm(posted(request))
    if form.is_bound and form.is_valid():
        data = form.cleaned_data
        try:
            given = shares.give(request.user, vm, data["person"], data["way"], data["until"])
        except Denied as denied:
            add_refusal(form, denied)
        else:
            announce(given, vm)
            return done_response(request, url_of(vm), _("Shared with %(name)s.") % {"name": data["person"].username})
    context = {"vm": vm, "form": form, "url": request.path}
    return render_dialog(request, "vms/_share_dialog.html", context, status=422 if form.is_bound else 200)


def announce(given: Grant, vm: Vm) -> None:
    """To who has it now."""
    if given.to_user is None or given.given_by is None:
        return
    title = _("%(name)s shares the VM %(vm)s with you") % {"name": given.given_by.username, "vm": vm.name}
    lines = [_("You may: %(what)s.") % {"what": shares.WAYS[given.role]}]
    if given.until is not None:
        lines.append(_("Until %(day)s.") % {"day": f"{given.until:%Y-%m-%d}"})
    tell("share", [given.to_user], title=title, lines=lines, url=vm.get_absolute_url(), key=f"share-{given.pk}")


@require_POST
@permission_required("vms.view")
def end_share(request: PersonRequest, uuid: UUID, pk: int) -> HttpResponse:
    vm = find_vm(request, uuid, shares.PERMISSION)
    shares.end(request.user, vm, pk)
    return done_response(request, url_of(vm), _("It is not shared with them any more."))


@require_http_methods(["GET", "POST"])
@permission_required("vms.view")
def make_link(request: PersonRequest, uuid: UUID) -> HttpResponse:
    vm = find_vm(request, uuid, shares.PERMISSION)
    form = LinkForm(posted(request))
    if form.is_bound and form.is_valid():
        try:
            made, secret = links.make(request.user, vm, form.cleaned_data["days"])
        except Denied as denied:
            add_refusal(form, denied)
        else:
            link = request.build_absolute_uri(reverse("vms:look", args=[secret]))
            response = render_dialog(request, "vms/_link_shown_dialog.html", {"vm": vm, "made": made, "link": link})
            response.headers["Cache-Control"] = "no-store"
            return response
    context = {"vm": vm, "form": form, "url": request.path}
    return render_dialog(request, "vms/_link_dialog.html", context, status=422 if form.is_bound else 200)


@require_POST
@permission_required("vms.view")
def end_link(request: PersonRequest, uuid: UUID, pk: int) -> HttpResponse:
    vm = find_vm(request, uuid, shares.PERMISSION)
    vm.screen_links.filter(pk=pk).delete()
    return done_response(request, url_of(vm), _("The link is ended: who looks by it is shut out."))
