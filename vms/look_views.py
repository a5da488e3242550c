"""The page behind a link: a VM's screen to look at and its state, without a login, and nothing else."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from access.addresses import client_address
from jobs.errors import Refused
from ui.counting import is_over, wait_s
from vms import consoles, links
from vms.models import ScreenLink

STOP_POLLING = 286  # htmx: swap, and don't ask again


def find(request: HttpRequest, secret: str) -> ScreenLink | int:
    """The link, or the status for who has none: 404, and 429 after many tries from there."""
    found = links.find(secret)
    if found is not None:
        return found
    return 429 if is_over("look", client_address(request) or "", links.WRONG_A_MINUTE) else 404


def refused(request: HttpRequest, status: int) -> HttpResponse:
    response = render(request, "vms/look_over.html", {"wait_s": wait_s() if status == 429 else 0}, status=status)
    if status == 429:
        response.headers["Retry-After"] = str(wait_s())
    return response


@login_not_required
@never_cache
@require_GET
def look(request: HttpRequest, secret: str) -> HttpResponse:
    link = find(request, secret)
    if isinstance(link, int):
        return refused(request, link)
    state_url, ticket_url = (reverse(f"vms:{name}", args=[secret]) for name in ("look_state", "look_ticket"))
    context = {"vm": link.vm, "link": link, "state_url": state_url, "ticket_url": ticket_url}
    return render(request, "vms/look.html", context)


@login_not_required
@never_cache
@require_GET
def state(request: HttpRequest, secret: str) -> HttpResponse:
    """A piece of the page, which asks for it every few seconds."""
    link = find(request, secret)
    if isinstance(link, int):
        return render(request, "vms/_look_state.html", {"vm": None}, status=STOP_POLLING)
    url = reverse("vms:look_state", args=[secret])
    return render(request, "vms/_look_state.html", {"vm": link.vm, "link": link, "state_url": url})


@login_not_required
@never_cache
@require_POST
def ticket(request: HttpRequest, secret: str) -> JsonResponse:
    """For the console process, valid 30 s and once."""
    link = find(request, secret)
    if isinstance(link, int):
        return JsonResponse({"error": _("This link has ended.")}, status=410 if link == 404 else link)
    vm = link.vm
    if not vm.is_alive or vm.host is None:
        reason = _("%(vm)s is %(state)s.") % {"vm": vm, "state": vm.get_state_display()}
        return JsonResponse({"error": reason}, status=409)
    try:
        made = consoles.issue_by_link(link, client_address(request))
    except Refused as refusal:
        return JsonResponse({"error": str(refusal.message)}, status=409)
    ScreenLink.objects.filter(pk=link.pk).update(seen_at=timezone.now())
    return JsonResponse({"path": f"/console-socket?ticket={made}"})
