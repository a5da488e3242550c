"""Invitations: the administrators' list of them, and the page behind a link."""

from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access import invitations
from access.models import Invitation
from access.people import Denied
from access.people_forms import InvitationForm, JoinForm
from access.people_views import PER_PAGE, count_of_tabs
from access.rules import PersonRequest, can, permission_required
from access.signals import joined
from access.ways import WAY
from ui.forms import add_refusal, posted
from ui.htmx import done_response, is_piece, render_dialog


@require_GET
@permission_required("access.view")
def index(request: PersonRequest) -> HttpResponse:
    rows = Invitation.objects.select_related("group", "made_by", "used_by", "letter")
    context = {
        "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "now": timezone.now(),
        "can_manage": can(request.user, "access.manage"),
        "tab": "invitations",
    }
    if is_piece(request):
        return render(request, "access/_invitations.html", context)
    return render(request, "access/invitations.html", {**context, "counts": count_of_tabs()})


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def invite(request: PersonRequest) -> HttpResponse:
    form = InvitationForm(posted(request))
    if form.is_bound and form.is_valid():
        days, is_sent = int(form.cleaned_data["days"]), bool(form.cleaned_data.get("send"))
        try:
            made, secret = invitations.make(request.user, form.values(), days, send=is_sent)
        except Denied as denied:
            add_refusal(form, denied)
        else:
            link = request.build_absolute_uri(reverse("access:join", args=[secret]))
            context = {"invitation": made, "link": link, "is_sent": is_sent}
            response = render_dialog(request, "access/_invitation_shown_dialog.html", context)
            response.headers["Cache-Control"] = "no-store"
            return response
    status = 422 if form.is_bound else 200
    return render_dialog(request, "access/_invitation_dialog.html", {"form": form}, status=status)


@require_POST
@permission_required("access.manage")
def withdraw(request: PersonRequest, pk: int) -> HttpResponse:
    get_object_or_404(Invitation, pk=pk, used_at=None).delete()
    return done_response(request, reverse("access:invitations"), _("The invitation is withdrawn."))


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, secret: str) -> HttpResponse:
    """The page behind a link: whoever has it becomes the person it names, once."""
    invitation = invitations.find(secret)
    if invitation is None:
        return render(request, "access/join_over.html", status=404)
    form = JoinForm(posted(request), invitation=invitation)
    if form.is_bound and form.is_valid():
        try:
            person = invitations.accept(invitation, form.values(), form.cleaned_data["password"])
        except Denied as denied:
            add_refusal(form, denied)
        else:
            joined.send(sender=Invitation, user=person, invitation=invitation)
            request.session[WAY] = "invitation"
            login(request, person, backend="django.contrib.auth.backends.ModelBackend")
            return redirect("cluster:overview")
    context = {"form": form, "invitation": invitation, "is_known": request.user.is_authenticated}
    return render(request, "access/join.html", context, status=422 if form.is_bound else 200)
