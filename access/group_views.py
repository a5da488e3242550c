"""The pages of groups and grants. Managers see their groups; administrators change them."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access import groups
from access.groups import GRANT_PARTS
from access.models import Grant, Group, Membership
from access.people import Denied
from access.people_forms import GrantForm, GroupForm, MembersForm
from access.people_views import count_of_tabs
from access.rules import PersonRequest, can, find, permission_required, visible
from ui.forms import add_refusal, number_in, posted
from ui.htmx import done_response, is_partial, is_piece, note_response, render_dialog

PER_PAGE, MEMBERS_PER_PAGE = 50, 100
NAMED = {"user": "to_user", "group": "to_group", "vm": "on_vm", "in": "on_group", "pool": "on_pool"}


@require_GET
@permission_required("groups.view")
def index(request: PersonRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:100].replace("\0", "")
    rows = visible(request.user, Group.objects.all())
    rows = rows.filter(Q(name__icontains=words) | Q(description__icontains=words)) if words else rows
    people, vms = Count("memberships", distinct=True), Count("vms", distinct=True)
    page = Paginator(rows.annotate(people=people, machines=vms).order_by("name"), PER_PAGE).get_page(
        request.GET.get("page")
    )
    context = {"page": page, "query": words, "can_manage": can(request.user, "access.manage"), "tab": "groups"}
    if is_piece(request):
        return render(request, "access/_groups.html", context)
    is_wide = can(request.user, "access.view")
    context |= {"is_wide": is_wide, "counts": count_of_tabs() if is_wide else {}}
    return render(request, "access/groups.html", context)


def _group(request: PersonRequest, pk: int, permission: str = "access.manage") -> Group:
    return find(request.user, Group.objects.all(), permission, pk=pk)


@require_GET
@permission_required("groups.view")
def group(request: PersonRequest, pk: int) -> HttpResponse:
    found = _group(request, pk, "")
    words = request.GET.get("q", "").strip()[:100].replace("\0", "")
    rows = found.memberships.select_related("user")
    if words:
        match = Q(user__username__icontains=words) | Q(user__last_name__icontains=words)
        rows = rows.filter(match | Q(user__first_name__icontains=words))
    page = Paginator(rows, MEMBERS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "group": found,
        "page": page,
        "query": words,
        "can_manage": can(request.user, "access.manage"),
        "is_wide": can(request.user, "access.view"),
    }
    if is_piece(request):
        return render(request, "access/_members.html", context)
    grants = Grant.objects.filter(Q(to_group=found) | Q(on_group=found)).select_related(*GRANT_PARTS)
    return render(request, "access/group.html", {**context, "grants": grants if context["is_wide"] else []})


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def add(request: PersonRequest) -> HttpResponse:
    form = GroupForm(posted(request))
    if form.is_bound and form.is_valid():
        made = Group.objects.create(**form.cleaned_data)
        return done_response(request, made.get_absolute_url(), _("The group is made: put people into it."))
    context = {"form": form, "url": reverse("access:add_group")}
    return render_dialog(request, "access/_group_dialog.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@permission_required("groups.view")
def edit(request: PersonRequest, pk: int) -> HttpResponse:
    found = _group(request, pk)
    now = {"name": found.name, "description": found.description}
    form = GroupForm(posted(request), group=found, initial=now)
    if form.is_bound and form.is_valid():
        found.name, found.description = form.cleaned_data["name"], form.cleaned_data["description"]
        found.save(update_fields=["name", "description"])
        return done_response(request, found.get_absolute_url(), _("Saved."))
    context = {"form": form, "group": found, "url": reverse("access:edit_group", args=[pk])}
    return render_dialog(request, "access/_group_dialog.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@permission_required("groups.view")
def delete(request: PersonRequest, pk: int) -> HttpResponse:
    found = _group(request, pk)
    if request.method == "POST":
        name = found.name
        found.delete()
        return done_response(request, reverse("access:groups"), _("The group %(name)s is gone.") % {"name": name})
    return render_dialog(request, "access/_group_delete_dialog.html", {"group": found})


@require_http_methods(["GET", "POST"])
@permission_required("groups.view")
def add_members(request: PersonRequest, pk: int) -> HttpResponse:
    """A list of usernames, pasted or as CSV. Who is not known is told and left out."""
    found = _group(request, pk)
    form = MembersForm(posted(request), request.FILES or None)
    if form.is_bound and form.is_valid():
        data = form.cleaned_data
        try:
            added = groups.put_in(request.user, found, data["people"], is_manager=data["is_manager"])
        except Denied as denied:
            add_refusal(form, denied)
        else:
            if not added.unknown:
                return done_response(request, found.get_absolute_url(), told(added))
            return render_dialog(request, "access/_members_added_dialog.html", {"group": found, "added": added})
    context = {"form": form, "group": found}
    return render_dialog(request, "access/_members_dialog.html", context, status=422 if form.is_bound else 200)


def told(added: groups.Added) -> str:
    return _("%(new)s added, %(there)s were there already.") % {"new": len(added.new), "there": len(added.there)}


def _membership(request: PersonRequest, pk: int, user: int) -> Membership:
    return get_object_or_404(Membership.objects.select_related("user", "group"), group=_group(request, pk), user=user)


@require_POST
@permission_required("groups.view")
def take_out(request: PersonRequest, pk: int, user: int) -> HttpResponse:
    one = _membership(request, pk, user)
    one.delete()
    word = _("%(name)s is out of the group.") % {"name": one.user.username}
    return done_response(request, one.group.get_absolute_url(), word)


@require_POST
@permission_required("groups.view")
def set_manager(request: PersonRequest, pk: int, user: int) -> HttpResponse:
    """on: whether they manage the group."""
    one = _membership(request, pk, user)
    try:
        groups.set_manager(request.user, one, is_manager=request.POST.get("on") == "1")
    except Denied as denied:
        return note_response(request, denied.message, one.group.get_absolute_url())
    return done_response(request, one.group.get_absolute_url(), _("Saved."))


@require_GET
@permission_required("access.view")
def grants(request: PersonRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:100].replace("\0", "")
    rows = Grant.objects.select_related(*GRANT_PARTS)
    if words:
        match = Q(to_user__username__icontains=words) | Q(to_group__name__icontains=words)
        match |= Q(on_vm__name__icontains=words) | Q(on_pool__name__icontains=words)
        rows = rows.filter(match | Q(on_group__name__icontains=words))
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "query": words, "can_manage": can(request.user, "access.manage"), "tab": "grants"}
    if is_piece(request):
        return render(request, "access/_grants.html", context)
    return render(request, "access/grants.html", {**context, "counts": count_of_tabs()})


def fixed_by(request: PersonRequest) -> dict[str, Any]:
    """What the page it was opened from says: ?user= or ?group= for whom, ?vm=, ?in= (a group) or ?pool= on what."""
    found: dict[str, Any] = {}
    for name, column in NAMED.items():
        if text := request.GET.get(name, ""):
            key = number_in(text)
            model: Any = Grant._meta.get_field(column).related_model
            if key is None:
                raise Http404
            found[column] = get_object_or_404(model, pk=key)
    return found


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def give(request: PersonRequest) -> HttpResponse:
    fixed = fixed_by(request)
    form = GrantForm(posted(request), fixed=fixed)
    back = next((one.get_absolute_url() for one in fixed.values()), reverse("access:grants"))
    if form.is_bound and form.is_valid():
        try:
            grant = groups.give(request.user, **form.given())
        except Denied as denied:
            add_refusal(form, denied)
        else:
            word = _("%(who)s: %(role)s.") % {"who": grant.subject, "role": grant.get_role_display()}
            return _back(request, back, word)
    context = {"form": form, "fixed": fixed, "url": request.get_full_path(), "back": back}
    return render_dialog(request, "access/_grant_dialog.html", context, status=422 if form.is_bound else 200)


@require_POST
@permission_required("access.view")
def take_away(request: PersonRequest, pk: int) -> HttpResponse:
    grant = find(request.user, Grant.objects.select_related(*GRANT_PARTS), "access.manage", pk=pk)
    subject = grant.subject
    back = subject.get_absolute_url() if subject is not None else reverse("access:grants")
    try:
        groups.take_away(request.user, grant)
    except Denied as denied:
        return note_response(request, denied.message, back)
    return _back(request, back, _("Taken away."))


def _back(request: PersonRequest, url: str, word: str) -> HttpResponse:
    """The page it was asked from, loaded again (charts of a VM's page do not outlive a change in place); else `url`."""
    messages.success(request, word)
    if not is_partial(request):
        return redirect(url)
    here = request.htmx.current_url_abs_path or ""  # type: ignore[attr-defined]
    is_ours = here.startswith("/") and not here.startswith("//")
    return HttpResponse(status=204, headers={"HX-Redirect": here if is_ours else url})
