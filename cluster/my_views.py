"""My VMs: where a lab user begins, and a page for everybody else who has VMs."""

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from access.rules import PersonRequest, can, permission_required
from cluster.attention import attention
from selfservice import my
from ui.htmx import is_piece


def context(request: PersonRequest) -> dict[str, Any]:
    page = Paginator(my.vms_of(request.user), my.PER_PAGE).get_page(request.GET.get("page"))
    found: dict[str, Any] = {"page": page, "cards": my.cards(request.user, list(page))}
    found |= my.coming(request.user) if page.number == 1 else {"coming": [], "more_coming": False}
    return {**found, "may_ask": can(request.user, "selfservice.ask"), "is_user": not can(request.user, "hosts.view")}


@require_GET
@permission_required("vms.view")
def my_vms(request: PersonRequest) -> HttpResponse:
    if is_piece(request):
        return render(request, "selfservice/_my_vms.html", context(request))
    found = context(request)
    items = attention(request.user) if found["is_user"] else []
    return render(request, "selfservice/my_vms.html", {**found, "items": items})


@require_GET
@permission_required("vms.view")
def card(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """One card, when its VM has changed. Empty if it is gone, or not theirs any more."""
    found = my.cards(request.user, list(my.vms_of(request.user).filter(uuid=uuid)))
    return render(request, "selfservice/_my_card.html", {"card": found[0]}) if found else HttpResponse()
