"""The pages of quotas: everybody's own gauges; for administrators what each person and group may have."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.models import Group, User
from access.people_views import count_of_tabs
from access.rules import PersonRequest, can, find, permission_required
from selfservice import quotas
from selfservice.forms import QuotaForm
from selfservice.measures import LABELS, MEASURES, shown
from selfservice.models import Quota
from selfservice.usage import Holder
from ui.forms import posted
from ui.htmx import done_response, is_partial, render_dialog


@require_GET
def mine(request: PersonRequest) -> HttpResponse:
    """One's own gauges: a piece of other pages, and a page of its own."""
    context = {"gauges": quotas.gauges(request.user), "has_limits": has_limits(request.user)}
    name = "selfservice/_mine.html" if is_partial(request) else "selfservice/mine.html"
    return render(request, name, context)


def has_limits(holder: Holder) -> bool:
    quota = quotas.quota_of(holder)
    return quota is not None and not quota.is_unlimited


def cells(quota: Quota | None) -> list[tuple[Any, str]]:
    """A row of the table: each measure's label and limit."""
    limits = quota.limits() if quota else dict.fromkeys(MEASURES)
    return [(LABELS[name], _("no limit") if limit is None else shown(name, limit)) for name, limit in limits.items()]


@require_GET
@permission_required("access.view")
def index(request: PersonRequest) -> HttpResponse:
    own = Quota.objects.exclude(user=None, group=None).select_related("user", "group")
    context = {
        "everybody": cells(quotas.everybodys()),
        "rows": [(quota, quota.user or quota.group, cells(quota)) for quota in own],
        "labels": LABELS.values(),
        "can_manage": can(request.user, "access.manage"),
        "tab": "quotas",
        "counts": count_of_tabs(),
    }
    return render(request, "selfservice/quotas.html", context)


def _card(request: PersonRequest, holder: Holder, kind: str) -> HttpResponse:
    context = {
        "holder": holder,
        "gauges": quotas.gauges(holder),
        "has_limits": has_limits(holder),
        "is_own": Quota.objects.filter(**quotas.key_of(holder)).exists(),
        "is_group": kind == "group",
        "can_manage": can(request.user, "access.manage"),
        "edit_url": reverse(f"selfservice:edit_{kind}", args=[holder.pk]),
        "drop_url": reverse(f"selfservice:drop_{kind}", args=[holder.pk]),
    }
    return render(request, "selfservice/_card.html", context)


@require_GET
@permission_required("access.view")
def of_person(request: PersonRequest, pk: int) -> HttpResponse:
    return _card(request, get_object_or_404(User, pk=pk), "person")


@require_GET
@permission_required("groups.view")
def of_group(request: PersonRequest, pk: int) -> HttpResponse:
    return _card(request, find(request.user, Group.objects.all(), pk=pk), "group")


def _edit(request: PersonRequest, holder: Holder | None, url: str, back: str) -> HttpResponse:
    now = quotas.quota_of(holder) if holder else quotas.everybodys()
    form = QuotaForm(posted(request), initial=now.limits() if now else {})
    if form.is_bound and form.is_valid():
        quotas.set_limits(holder, form.cleaned_data)
        return done_response(request, back, _("Saved."))
    context = {"form": form, "holder": holder, "url": url, "back": back}
    return render_dialog(request, "selfservice/_quota_dialog.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def edit_everybody(request: PersonRequest) -> HttpResponse:
    return _edit(request, None, reverse("selfservice:edit_everybody"), reverse("selfservice:quotas"))


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def edit_person(request: PersonRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    return _edit(request, person, reverse("selfservice:edit_person", args=[pk]), person.get_absolute_url())


@require_http_methods(["GET", "POST"])
@permission_required("groups.view")
def edit_group(request: PersonRequest, pk: int) -> HttpResponse:
    group = find(request.user, Group.objects.all(), "access.manage", pk=pk)
    return _edit(request, group, reverse("selfservice:edit_group", args=[pk]), group.get_absolute_url())


@require_POST
@permission_required("access.manage")
def drop_person(request: PersonRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    quotas.drop(person)
    return done_response(request, person.get_absolute_url(), _("What is for everybody holds for them now."))


@require_POST
@permission_required("groups.view")
def drop_group(request: PersonRequest, pk: int) -> HttpResponse:
    group = find(request.user, Group.objects.all(), "access.manage", pk=pk)
    quotas.drop(group)
    return done_response(request, group.get_absolute_url(), _("The group has no limit of its own any more."))
