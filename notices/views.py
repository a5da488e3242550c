"""A person's notices: the bell, what it opens, all of them, and how one wants to hear of what."""

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from access.rules import PersonRequest, can
from notices import choices, delivery, reading
from notices.forms import ChoicesForm
from notices.models import Notice
from ui.forms import posted
from ui.htmx import is_partial, is_piece, note_response

PER_PAGE = 50
LATEST = 8


@require_GET
def index(request: PersonRequest) -> HttpResponse:
    rows = Notice.objects.shown_to(request.user)
    only_unread = request.GET.get("show") == "unread"
    page = Paginator(rows.unread() if only_unread else rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "only_unread": only_unread, "unread": reading.unread(request.user)}
    return render(request, "notices/_list.html" if is_piece(request) else "notices/index.html", context)


@require_GET
def count(request: PersonRequest) -> HttpResponse:
    """The figure at the bell, for a page that is open."""
    return render(request, "notices/_count.html", {"unread": reading.unread(request.user)})


@require_GET
def latest(request: PersonRequest) -> HttpResponse:
    """What the bell opens."""
    rows = Notice.objects.shown_to(request.user)
    context = {"latest": list(rows[:LATEST]), "unread": reading.unread(request.user)}
    return render(request, "notices/_latest.html", context)


@require_POST
def read(request: PersonRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Notice.objects.shown_to(request.user), pk=pk)
    return _mark(request, Notice.objects.filter(pk=found.pk))


@require_POST
def read_all(request: PersonRequest) -> HttpResponse:
    return _mark(request, Notice.objects.shown_to(request.user))


def _mark(request: PersonRequest, rows: QuerySet[Notice]) -> HttpResponse:
    reading.mark(request.user, rows)
    if not is_partial(request):
        return redirect("notices:index")
    response = HttpResponse(status=204)
    trigger_client_event(response, "drover:read")  # the bell and the list fetch themselves, wherever they are
    return response


@require_http_methods(["GET", "POST"])
def choose(request: PersonRequest) -> HttpResponse:
    form = ChoicesForm(posted(request), user=request.user)
    if form.is_bound and form.is_valid():
        choices.keep(request.user, form.chosen())
        return note_response(request, _("Saved."), reverse("notices:choices"), bad=False)
    context = {
        "form": form,
        "why_no_mail": choices.why_no_mail(request.user),
        "trouble": choices.last_trouble(request.user),
        "address": request.user.email,
        "waiting": delivery.waiting_since() if can(request.user, "access.manage") else None,
    }
    return render(request, "notices/_choices.html" if is_piece(request) else "notices/choices.html", context)
