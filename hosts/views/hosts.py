"""The list of hosts and the page of one."""

import json
from functools import lru_cache
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from access.models import User
from access.rules import PersonRequest, can, permission_required, visible
from hosts import metrics
from hosts.models import ClusterCpu, Host, NetworkOnHost
from hosts.operations.reach import takes_part
from hosts.states import HostState, Level
from jobs.models import Job
from jobs.operations import by_name
from ui.htmx import is_partial, render_dialog
from ui.rows import light

PER_PAGE = 20
MANY, FEW = 12, 6
BIG = ("cpu_xml", "machine_types", "preflight", "host_keys", "offered_keys", "last_error_technical", "topology")
STATES = {"up": HostState.UP, "unreachable": HostState.UNREACHABLE, "refused": HostState.REFUSED}


@require_GET
@permission_required("hosts.view")
def index(request: PersonRequest) -> HttpResponse:
    hosts = _filtered(request, visible(request.user, Host.objects.filter(is_managed=True)).defer(*BIG))
    page = Paginator(hosts, PER_PAGE).get_page(request.GET.get("page"))
    _count_vms(page.object_list)
    context: dict[str, Any] = {
        "page": page,
        "query": request.GET.get("q", ""),
        "state": request.GET.get("state", ""),
        "states": [*((key, state.label) for key, state in STATES.items()), ("maintenance", _("maintenance"))],
    }
    if is_partial(request):
        return render(request, "hosts/_table.html", context)
    context |= _cluster(request.user)
    return render(request, "hosts/index.html", context)


@require_GET
@permission_required("hosts.view")
def cluster(request: PersonRequest) -> HttpResponse:
    """The part of the list's page that is about all hosts together."""
    return render(request, "hosts/_cluster.html", _cluster(request.user))


def _filtered(request: PersonRequest, hosts: QuerySet[Host]) -> QuerySet[Host]:
    words, state = request.GET.get("q", "").strip()[:100], request.GET.get("state", "")
    if words:
        hosts = hosts.filter(Q(name__icontains=words) | Q(address__icontains=words) | Q(hostname__icontains=words))
    if state in STATES:
        hosts = hosts.filter(observed_state=STATES[state])
    return hosts.filter(maintenance=True) if state == "maintenance" else hosts


def _count_vms(hosts: Any) -> None:
    """One query for the whole page: how many VMs each host holds."""
    rows = Host.objects.filter(pk__in=[host.pk for host in hosts]).order_by()
    counts = dict(rows.annotate(n=Count("vms", filter=Q(vms__missing_since=None))).values_list("pk", "n"))
    for host in hosts:
        host.vm_count = counts.get(host.pk, 0)


def _cluster(user: User) -> dict[str, Any]:
    """What concerns all hosts: those being added, the common CPU, who trusts whom."""
    rows = Host.objects.all()
    managed = rows.filter(is_managed=True).annotate(trusted_json=Cast("trusted_hosts", TextField()))
    hosts: list[Host] = [*light(managed, "name", "transport", "address", "observed_state", "trusted_json")]
    members = [host for host in hosts if takes_part(host)]
    return {
        "number": len(hosts),
        "up": sum(host.is_up for host in hosts),
        "adding": list(rows.filter(is_managed=False).defer(*BIG)),
        "cpus": _cpus(hosts),
        "members": members,
        "left_out": next((host for host in hosts if host.has_ssh and not takes_part(host)), None),
        "can_manage": can(user, "hosts.manage"),
        **_trust(members),
    }


def _trust(members: list[Host]) -> dict[str, Any]:
    """How many ways from host to host VMs can't go, with the first few of them."""
    names = {host.pk: host.name for host in members}
    everybody = json.dumps(sorted(names))
    number = 0
    ways: list[tuple[str, str]] = []
    for source in members:
        closed = _closed(source.pk, source.trusted_json, everybody)  # type: ignore[attr-defined]
        number += len(closed)
        if len(ways) < FEW:
            ways += [(source.name, names[pk]) for pk in closed[: FEW - len(ways)]]
    return {"ways": ways, "ways_number": number}


@lru_cache(maxsize=2000)
def _closed(source: int, trusted: str, everybody: str) -> tuple[int, ...]:
    """The hosts it can't log in to. Both lists are JSON: each of 500 hosts names 499, and they are seldom others."""
    return tuple(sorted({*json.loads(everybody)} - {*json.loads(trusted), source}))


def _cpus(hosts: list[Host]) -> list[dict[str, Any]]:
    """Each common CPU with the hosts that can do more (the first few), and what of it stays unused."""
    names = {str(host.pk): host.name for host in hosts}
    found = []
    for cpu in ClusterCpu.objects.all():
        each = [
            {"name": names[key], "model": said.get("model", ""), "unused": said.get("unused", [])}
            for key, said in cpu.hosts.items()
            if key in names
        ]
        each.sort(key=lambda one: (-len(one["unused"]), one["name"]))
        found.append({"cpu": cpu, "hosts": each[:MANY], "more": len(each[MANY:])})
    return found


@require_GET
@permission_required("hosts.view")
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    """The page; for htmx only its header and figures, which change every few seconds."""
    host = get_object_or_404(visible(request.user, Host.objects.defer("cpu_xml", "machine_types")), pk=pk)
    if not host.is_managed and can(request.user, "hosts.manage") and not is_partial(request):
        return redirect("hosts:setup", host.pk)
    context = _about(request.user, host)
    if is_partial(request):
        return render(request, "hosts/_live.html", context)
    key = str(host.pk)
    jobs = visible(request.user, Job.objects.filter(target_kind="host", target_key=key))
    context |= {
        "networks": _networks(host),
        "jobs": jobs.select_related("user")[:10] if can(request.user, "jobs.view") else [],
        "can_see_vms": can(request.user, "vms.view"),
        "can_see_storage": can(request.user, "storage.view"),
    }
    return render(request, "hosts/detail.html", context)


def _networks(host: Host) -> QuerySet[NetworkOnHost]:
    return host.networks.select_related("network").defer("xml", "leases").order_by("network__name")


def _trusted(host: Host) -> str:
    """The hosts it can log in to, in words: some names, or that it is all of them."""
    peers = Host.objects.filter(is_managed=True, transport__in=["ssh", "local"]).exclude(pk=host.pk)
    names = dict(peers.values_list("pk", "name"))
    trusted = [names[pk] for pk in host.trusted_hosts if pk in names]
    if len(trusted) == len(names) > MANY:
        return _("all %(n)s others") % {"n": len(names)}
    more = len(trusted[MANY:])
    return ", ".join(trusted[:MANY]) + (_(" and %(n)s more") % {"n": more} if more else "")


def _about(user: User, host: Host) -> dict[str, Any]:
    _count_vms([host])
    levels = [check["level"] for check in host.preflight]
    names = ("hosts.maintenance", "hosts.evacuate", "hosts.declare_off", "hosts.declare_on", "hosts.edit")
    return {
        "host": host,
        "refusals": {name.partition(".")[2]: by_name(name).refusal(user, host) for name in names},
        "can_manage": can(user, "hosts.manage"),
        "problems": levels.count(Level.PROBLEM),
        "warnings": levels.count(Level.WARNING),
        "trusted": _trusted(host),
        "evacuation": Job.objects.filter(
            operation="hosts.evacuate", target_key=str(host.pk), state__in=["queued", "running", "waiting"]
        ).first(),
    }


@require_GET
@permission_required("hosts.view")
def networks_of(request: PersonRequest, pk: int) -> HttpResponse:
    host = get_object_or_404(visible(request.user, Host.objects.only("pk", "name")), pk=pk)
    return render(request, "hosts/_networks_of_host.html", {"host": host, "networks": _networks(host)})


@require_GET
@permission_required("hosts.manage")
def menu(request: PersonRequest, pk: int) -> HttpResponse:
    """Every action on the host, with why not."""
    host = get_object_or_404(visible(request.user, Host.objects.defer("cpu_xml", "machine_types")), pk=pk)
    return render_dialog(request, "hosts/_menu_dialog.html", _about(request.user, host))


@require_GET
@permission_required("hosts.view")
def charts(request: PersonRequest, pk: int) -> JsonResponse:
    """CPU, memory and load of the last hour as columns of figures; from a local file, no host is asked."""
    host = get_object_or_404(visible(request.user, Host.objects.only("pk", "memory_bytes")), pk=pk)
    return JsonResponse({**metrics.history("host", str(host.pk)), "memory_bytes": host.memory_bytes})
