"""The list of VMs, its rows, the suggestions of its filters, and the VMs of one host."""

from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from access.models import Group
from access.rules import PersonRequest, can, everywhere, permission_required, visible
from hosts.models import Host
from ui.htmx import is_partial
from vms.actions import row_action
from vms.listing import Listing, shown_rows, suggestions
from vms.models import Vm
from vms.states import VmState

ON_HOST = 25


@require_GET
@permission_required("vms.view")
def index(request: PersonRequest) -> HttpResponse:
    listing = Listing(request.user, request.GET)
    rows = with_actions(request, listing.rows)
    here = request.path + listing.address(page=listing.page.number if listing.page.number > 1 else "").rstrip("?")
    states = {state: total.number for state, total in listing.states.items()}
    context = {
        "here": here,
        "listing": listing,
        "page": listing.page,
        "rows": rows,
        "state_choices": [(state, label, states.get(state, 0)) for state, label in VmState.choices],
        "running": states.get(VmState.RUNNING, 0),
        "all": sum(states.values()),
        "sees_hosts": listing.sees_hosts,
        "may_create": can(request.user, "vms.create"),
        "may_change": can(request.user, "vms.change"),
        "may_group": everywhere(request.user, "vms.change") and Group.objects.exists(),
        "may_delete": can(request.user, "vms.delete"),
        "may_migrate": can(request.user, "vms.migrate"),
    }
    if not is_partial(request):
        return render(request, "vms/index.html", context)
    response = render(request, "vms/_list.html", context)
    if request.headers.get("HX-Trigger") != "vm-list":  # not for the list's own live refresh
        response.headers["HX-Push-Url"] = here
    return response


def with_actions(request: PersonRequest, vms: list[Vm]) -> list[tuple[Vm, dict[str, str] | None]]:
    """Each VM with the one action its row offers."""
    return [(vm, row_action(request.user, vm)) for vm in vms]


@require_GET
@permission_required("vms.view")
def row(request: PersonRequest, uuid: UUID) -> HttpResponse:
    """One row. A VM that is gone is an empty answer: the row disappears."""
    found = shown_rows(visible(request.user, Vm.objects.filter(uuid=uuid)))
    if not found:
        return HttpResponse("")
    context = {"rows": with_actions(request, found), "sees_hosts": can(request.user, "hosts.view")}
    return render(request, "vms/_rows.html", context)


@require_GET
@permission_required("vms.view")
def options(request: PersonRequest) -> HttpResponse:
    """Suggestions for one filter: <option>s of its datalist."""
    kind = request.GET.get("kind", "")
    found = suggestions(request.user, kind, request.GET.get(kind, ""))
    return render(request, "vms/_options.html", {"kind": kind, "options": found})


@require_GET
@permission_required("hosts.view")
def on_host(request: PersonRequest, pk: int) -> HttpResponse:
    """The VMs of one host, for its page."""
    host = get_object_or_404(Host.objects.only("pk", "name"), pk=pk)
    rows = visible(request.user, Vm.objects.filter(host=host)).order_by("name", "pk")
    page = Paginator(rows, ON_HOST).get_page(request.GET.get("page"))
    shown = with_actions(request, shown_rows(page.object_list))
    return render(request, "vms/_on_host.html", {"host": host, "page": page, "rows": shown})
