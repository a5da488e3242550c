"""The pages of people: list, one person, adding and changing. For administrators; auditors read."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Prefetch, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access import people
from access.groups import GRANT_PARTS
from access.models import Grant, Group, Invitation, Membership, Role, User
from access.people import Denied
from access.people_forms import EditPersonForm, NewPersonForm, PasswordForm
from access.rules import PersonRequest, can, permission_required, role_of
from ui.forms import add_refusal
from ui.htmx import done_response, is_piece, note_response, render_dialog

PER_PAGE = 50
STATES = {"active": True, "inactive": False}


def count_of_tabs() -> dict[str, int]:
    return {
        "people": User.objects.count(),
        "invitations": Invitation.objects.filter(used_at=None, expires_at__gt=timezone.now()).count(),
        "groups": Group.objects.count(),
        "grants": Grant.objects.count(),
    }


def found_by(request: PersonRequest) -> Any:
    """The people that the filters of the address leave."""
    rows = User.objects.prefetch_related(Prefetch("member_of", queryset=Group.objects.only("name")))
    words = request.GET.get("q", "").strip()[:100].replace("\0", "")
    for word in words.split():
        match = Q(username__icontains=word) | Q(first_name__icontains=word) | Q(last_name__icontains=word)
        rows = rows.filter(match | Q(email__icontains=word))
    role, state = request.GET.get("role", ""), request.GET.get("state", "")
    if role in Role.values:
        rows = rows.filter(role=role)
    return rows.filter(is_active=STATES[state]) if state in STATES else rows


@require_GET
@permission_required("access.view")
def index(request: PersonRequest) -> HttpResponse:
    rows = found_by(request).order_by("username")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "query": request.GET.get("q", "")[:100],
        "role": request.GET.get("role", ""),
        "state": request.GET.get("state", ""),
        "roles": Role.choices,
        "can_manage": can(request.user, "access.manage"),
        "tab": "people",
    }
    if is_piece(request):
        return render(request, "access/_people.html", context)
    return render(request, "access/people.html", {**context, "counts": count_of_tabs()})


@require_GET
@permission_required("access.view")
def person(request: PersonRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(User, pk=pk)
    mine = Membership.objects.filter(user=found)
    given = Q(to_user=found) | Q(to_group__in=mine.values("group"))
    context = {
        "person": found,
        "role": Role(role_of(found)).label,
        "memberships": mine.select_related("group").order_by("group__name"),
        "grants": Grant.objects.filter(given).select_related(*GRANT_PARTS),
        "owned": people.owned(found),
        "tokens": found.api_tokens.count(),
        "can_manage": can(request.user, "access.manage"),
        "is_self": found.pk == request.user.pk,
    }
    return render(request, "access/person.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def add(request: PersonRequest) -> HttpResponse:
    form = NewPersonForm(request.POST or None)
    if form.is_bound and form.is_valid():
        values = {name: form.cleaned_data[name] for name in people.FIELDS}
        try:
            made, shown = people.add(request.user, values, form.cleaned_data["password"])
        except Denied as denied:
            add_refusal(form, denied)
        else:
            return password_shown(request, made, shown, is_new=True)
    context = {"form": form}
    return render_dialog(request, "access/_person_add_dialog.html", context, status=422 if form.is_bound else 200)


def password_shown(request: PersonRequest, person: User, shown: str, *, is_new: bool = False) -> HttpResponse:
    context = {"person": person, "secret": shown, "is_new": is_new}
    response = render_dialog(request, "access/_password_shown_dialog.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def edit(request: PersonRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(User, pk=pk)
    now = {name: getattr(found, name) for name in people.FIELDS} | {"role": role_of(found)}
    form = EditPersonForm(request.POST or None, initial=now)
    if form.is_bound and form.is_valid():
        try:
            people.change(request.user, found, form.cleaned_data)
        except Denied as denied:
            add_refusal(form, denied)
            found.refresh_from_db()
        else:
            return done_response(request, found.get_absolute_url(), _("Saved."))
    context = {"form": form, "person": found}
    return render_dialog(request, "access/_person_edit_dialog.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def set_password(request: PersonRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(User, pk=pk)
    form = PasswordForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            shown = people.set_password(request.user, found, form.cleaned_data["password"])
        except Denied as denied:
            add_refusal(form, denied)
        else:
            return password_shown(request, found, shown)
    context = {"form": form, "person": found}
    return render_dialog(request, "access/_person_password_dialog.html", context, status=422 if form.is_bound else 200)


@require_POST
@permission_required("access.manage")
def activate(request: PersonRequest, pk: int) -> HttpResponse:
    return _set_active(request, pk, is_active=True)


@require_POST
@permission_required("access.manage")
def deactivate(request: PersonRequest, pk: int) -> HttpResponse:
    return _set_active(request, pk, is_active=False)


def _set_active(request: PersonRequest, pk: int, *, is_active: bool) -> HttpResponse:
    found = get_object_or_404(User, pk=pk)
    try:
        people.set_active(request.user, found, is_active=is_active)
    except Denied as denied:
        return note_response(request, denied.message, found.get_absolute_url())
    word = _("%(name)s may log in again.") if is_active else _("%(name)s may not log in any more.")
    return done_response(request, found.get_absolute_url(), word % {"name": found.username})


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def delete(request: PersonRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(User, pk=pk)
    refusal: Any = ""
    if request.method == "POST":
        name = found.username
        try:
            people.delete(request.user, found)
        except Denied as denied:
            refusal = denied.message
        else:
            return done_response(request, reverse("access:people"), _("%(name)s is deleted.") % {"name": name})
    context = {"person": found, "refusal": refusal, "owned": people.owned(found), "record": people.has_record(found)}
    return render_dialog(request, "access/_person_delete_dialog.html", context, status=422 if refusal else 200)
