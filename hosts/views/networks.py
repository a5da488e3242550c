"""Networks: the list with where each is present, the page of one, defining and changing them on many hosts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.rules import PersonRequest, can, permission_required, visible
from hosts.models import Host, Network, NetworkOnHost
from hosts.network_form import NetworkForm
from hosts.operations.networks import CUTTING, VERBS, ChangeNetwork, begin_network, wanted_spec
from hosts.usage import vms_of
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from ui.forms import add_refusal, number_in, posted
from ui.htmx import is_partial, job_response, note_response, render_dialog
from virt.xml import network as network_xml
from virt.xml.network import NetworkSpec
from virt.xml.tree import BadXml

PER_PAGE = 50
MOST_COLUMNS = 12  # more hosts than this are counted instead of shown one by one
WORDS = {
    "mode": gettext_lazy("kind"),
    "ipv4": gettext_lazy("host's address"),
    "dhcp_start": gettext_lazy("first DHCP address"),
    "dhcp_end": gettext_lazy("last DHCP address"),
    "ipv6": "IPv6",
    "domain": gettext_lazy("domain"),
    "forward_device": gettext_lazy("way out"),
    "mtu": "MTU",
    "bridge_name": gettext_lazy("bridge"),
}


@dataclass
class Cell:
    """A network on one host, or its absence there."""

    host: Host
    presence: NetworkOnHost | None = None
    differs: bool = False
    differences: list[str] = field(default_factory=list)
    error: str = ""  # of the last change here, if it failed

    @property
    def colour(self) -> str:
        if self.presence is None:
            return "secondary"
        return "orange" if self.differs and not self.presence.missing_since else self.presence.colour

    def get_state_display(self) -> str:
        if self.presence is None:
            return _("not here")
        return _("differs") if self.differs else self.presence.get_state_display()


def usual_identity(counted: Counter[str]) -> str:
    """What most hosts say the network is; hosts that say something else differ."""
    said = {identity: number for identity, number in counted.items() if identity}
    return min(said, key=lambda identity: (-said[identity], identity)) if said else ""


@require_GET
@permission_required("hosts.view")
def networks(request: PersonRequest) -> HttpResponse:
    hosts = visible(request.user, Host.objects.filter(is_managed=True)).only("name", "observed_state")
    page = Paginator(visible(request.user, Network.objects.all()), PER_PAGE).get_page(request.GET.get("page"))
    columns = list(hosts[: MOST_COLUMNS + 1])
    is_wide = len(columns) > MOST_COLUMNS
    context = {
        "page": page,
        "rows": _counted(page.object_list, hosts) if is_wide else _rows(page.object_list, columns),
        "hosts": [] if is_wide else columns,
        "number": hosts.count() if is_wide else len(columns),
        "can_manage": can(request.user, "hosts.manage"),
    }
    return render(request, "hosts/_networks.html" if is_partial(request) else "hosts/networks.html", context)


def _rows(networks: Iterable[Network], hosts: list[Host]) -> list[dict[str, Any]]:
    """A row per network with a cell per host."""
    read = NetworkOnHost.objects.filter(host__in=hosts).defer("xml", "leases")
    found = []
    for network in networks:
        presences = {one.host_id: one for one in read if one.network_id == network.pk}
        usual = usual_identity(Counter(one.identity for one in presences.values() if one.missing_since is None))
        cells = []
        for host in hosts:
            presence = presences.get(host.pk)
            differs = presence is not None and presence.missing_since is None and presence.identity != usual
            cells.append(Cell(host, presence, differs))
        found.append({"network": network, "cells": cells})
    return found


def _counted(networks: Iterable[Network], hosts: QuerySet[Host]) -> list[dict[str, Any]]:
    """A row per network with how many hosts have it, counted by the database: there are too many for cells."""
    here = NetworkOnHost.objects.filter(network__in=list(networks), host__in=hosts.order_by().values("pk"))
    kinds = here.annotate(gone=Q(missing_since__isnull=False)).order_by().values("network", "identity", "gone")
    groups: dict[int, list[Any]] = {}
    for group in kinds.annotate(n=Count("pk"), active=Count("pk", filter=Q(is_active=True))):
        groups.setdefault(group["network"], []).append(group)
    found = []
    for network in networks:
        some = groups.get(network.pk, [])
        usual = usual_identity(Counter({group["identity"]: group["n"] for group in some if not group["gone"]}))
        found.append(
            {
                "network": network,
                "active": sum(group["active"] for group in some),
                "differ": sum(group["n"] for group in some if not group["gone"] and group["identity"] != usual),
                "missing": sum(group["n"] for group in some if group["gone"]),
            }
        )
    return found


@require_GET
@permission_required("hosts.view")
def network(request: PersonRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(request.user, Network.objects.all()), pk=pk)
    spec = wanted_spec(found)
    cells = _cells(request, found, spec)
    uses = vms_of(found)
    by_mac = {mac: use for use in uses for mac in use.macs}
    leases = [
        {**lease, "host": cell.host, "vm": by_mac.get(lease.get("mac", ""))}
        for cell in cells
        if cell.presence is not None
        for lease in cell.presence.leases
    ]
    job = Job.objects.filter(operation=ChangeNetwork.name, target_key=str(found.pk)).first()
    context = {
        "network": found,
        "spec": spec,
        "cells": cells,
        "absent": [cell for cell in cells if cell.presence is None],
        "uses": uses if can(request.user, "vms.view") else [],
        "leases": leases[:200],
        "job": job if job is not None and job.is_active else None,
        "can_manage": can(request.user, "hosts.manage"),
    }
    return render(request, "hosts/_network.html" if is_partial(request) else "hosts/network.html", context)


def _cells(request: PersonRequest, found: Network, spec: NetworkSpec | None) -> list[Cell]:
    hosts = visible(request.user, Host.objects.filter(is_managed=True)).only("name", "observed_state", "maintenance")
    presences = {one.host_id: one for one in found.presences.all()}
    usual = usual_identity(Counter(one.identity for one in presences.values() if one.missing_since is None))
    errors = _last_errors(found)
    cells = []
    for host in hosts:
        presence = presences.get(host.pk)
        cell = Cell(host, presence, error=errors.get(host.pk, ""))
        if presence is not None and presence.missing_since is None:
            cell.differences = _differences(presence, spec)
            cell.differs = bool(cell.differences) or (not found.is_ours and presence.identity != usual)
        cells.append(cell)
    return cells


def _differences(presence: NetworkOnHost, spec: NetworkSpec | None) -> list[str]:
    if spec is None or not presence.xml:
        return []
    try:
        found = network_xml.difference(spec, network_xml.parse(presence.xml))
    except BadXml as error:
        return [str(error)]
    words = _("%(what)s: %(there)s (elsewhere: %(wanted)s)")
    return [
        words % {"what": WORDS.get(name, name), "there": there or "–", "wanted": wanted or "–"}
        for name, (wanted, there) in found.items()
    ]


def _last_errors(found: Network) -> dict[int, str]:
    """Per host why the last change there failed; nothing for hosts where a later one worked."""
    errors: dict[int, str] = {}
    jobs = Job.objects.filter(operation="networks.apply", target_key=str(found.pk), finished_at__isnull=False)
    for params, error in jobs.order_by("id").values_list("params", "error")[:500]:
        errors[params.get("host", 0)] = error
    return {pk: error for pk, error in errors.items() if error}


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def add(request: PersonRequest) -> HttpResponse:
    """Define a network on many hosts at once. The row says what it shall be; the job brings the hosts to it."""
    form = NetworkForm(posted(request))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        job = begin_network(request.user, data["name"], data["mode"], form.spec(), list(data["hosts"]))
        return job_response(request, job)
    context = {"form": form, "hosts": list(Host.objects.filter(is_managed=True).only("name"))}
    return render_dialog(request, "hosts/_network_dialog.html", context, status=422 if form.errors else 200)


class ForceForm(forms.Form):
    force = forms.BooleanField(label=gettext_lazy("They may lose their connection"), required=False)


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def change(request: PersonRequest, pk: int, verb: str) -> HttpResponse:
    """A dialog for what cuts VMs off (stop, remove); everything else is done by one POST. ?host= limits it."""
    found = get_object_or_404(visible(request.user, Network.objects.all()), pk=pk)
    if verb not in VERBS or (request.method == "GET" and verb not in CUTTING):
        raise Http404
    asked = request.POST.getlist("host") or request.GET.getlist("host")
    keys = [key for key in map(number_in, asked) if key is not None]
    form = ForceForm(posted(request))
    params: dict[str, Any] = {"verb": verb, "hosts": keys}
    if request.method == "POST":
        params["force"] = form.is_valid() and form.cleaned_data["force"]
        try:
            return job_response(request, enqueue(ChangeNetwork(found, params), user=request.user))
        except Refused as refused:
            if verb not in CUTTING:
                return note_response(request, refused.message, found.get_absolute_url())
            add_refusal(form, refused)
    hosts = list(Host.objects.filter(pk__in=keys).only("name"))
    context = {
        "network": found,
        "verb": verb,
        "hosts": hosts,
        "form": form,
        "uses": [use for use in vms_of(found, hosts or None) if use.is_alive],
        "words": str(VERBS[verb]) % {"network": found.name},
    }
    return render_dialog(request, "hosts/_network_change_dialog.html", context, status=422 if form.errors else 200)


@require_POST
@permission_required("hosts.manage")
def define_missing(request: PersonRequest, pk: int) -> HttpResponse:
    """Define it on the hosts that do not have it."""
    found = get_object_or_404(visible(request.user, Network.objects.all()), pk=pk)
    have = found.presences.filter(missing_since=None).values_list("host_id", flat=True)
    keys = list(Host.objects.filter(is_managed=True).exclude(pk__in=have).values_list("pk", flat=True))
    try:
        if not keys:
            raise Refused(_("All hosts have it."))
        job = enqueue(ChangeNetwork(found, {"verb": "define", "hosts": keys}), user=request.user)
    except Refused as refused:
        return note_response(request, refused.message, found.get_absolute_url())
    return job_response(request, job)
