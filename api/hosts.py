"""Hosts: list, one, add step by step, change, maintenance, evacuate, remove."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Status

from access.rules import PersonRequest, visible
from api.forms import cleaned
from api.rights import require
from api.schemas import (
    EvacuateIn,
    FingerprintsIn,
    HostChangeIn,
    HostIn,
    HostOut,
    JobOut,
    MaintenanceIn,
    NameIn,
    PasswordIn,
    Problem,
    RemoveHostIn,
    SetupOut,
)
from hosts.forms import EvacuateForm, HostForm, MaintenanceForm, NameForm, PasswordForm, RemoveForm
from hosts.models import Host
from hosts.operations.care import FIELDS
from hosts.operations.onboarding import begin_host
from hosts.states import Transport
from jobs import secrets
from jobs.engine import enqueue
from jobs.operations import by_name

router = Router(tags=["hosts"])
STARTED = {202: JobOut, 403: Problem, 404: Problem, 409: Problem, 422: Problem}
ACTIONS = {
    "probe": "hosts.probe",
    "try-login": "hosts.try_login",
    "preflight": "hosts.preflight",
    "accept": "hosts.accept",
    "refresh": "hosts.refresh",
    "declare-on": "hosts.declare_on",
}


def find(request: PersonRequest, host_id: int) -> Host:
    require(request, "hosts.view")
    return get_object_or_404(visible(request.user, Host.objects.all()), pk=host_id)


def managed(request: PersonRequest, host_id: int) -> Host:
    """A host to change. Raises PermissionDenied before anything is said about what was sent."""
    require(request, "hosts.manage")
    return find(request, host_id)


def begin(request: PersonRequest, name: str, host: Host | None, params: dict[str, Any] | None = None) -> Any:
    operation = by_name(name)(host, params or {})
    require(request, operation.permission)
    return Status(202, enqueue(operation, user=request.user))


@router.get("/", response=list[HostOut])
def list_hosts(request: PersonRequest, managed: bool = Query(True)) -> QuerySet[Host]:
    """All hosts of the cluster; with `managed=false` those that are still being added."""
    require(request, "hosts.view")
    return visible(request.user, Host.objects.filter(is_managed=managed))


@router.post("/", response={202: JobOut, 403: Problem, 422: Problem})
def add_host(request: PersonRequest, wish: HostIn) -> Any:
    """Begin to add a host. The job's `target_key` is its number; by SSH the job reads the keys that the host shows.

    Then: compare the fingerprints (`GET /hosts/{id}/setup`), `pin` them, let Drover's key in (`install-key` with a
    password, or put `public_key` there and `try-login`), wait for the look over, and `accept`.
    """
    require(request, "hosts.manage")
    return Status(202, begin_host(request.user, cleaned(HostForm(wish.dict()))))


@router.post("/trust", response={202: JobOut, 403: Problem, 409: Problem})
def trust_hosts(request: PersonRequest) -> Any:
    """Let all hosts log in to each other with keys of their own: migration goes from host to host."""
    return begin(request, "hosts.trust", None)


@router.post("/encryption", response={202: JobOut, 403: Problem, 409: Problem})
def set_up_encryption(request: PersonRequest) -> Any:
    """Give all hosts certificates of the cluster's own authority, for migrations with `tls`; again: renew them."""
    return begin(request, "hosts.encryption", None)


@router.post("/common-cpu", response={202: JobOut, 403: Problem, 409: Problem})
def compute_common_cpu(request: PersonRequest) -> Any:
    """Compute the CPU model that all hosts have, which new VMs get."""
    return begin(request, "hosts.common_cpu", None)


@router.get("/{host_id}", response={200: HostOut, 403: Problem, 404: Problem})
def get_host(request: PersonRequest, host_id: int) -> Any:
    """One host with its state and how old that is."""
    return find(request, host_id)


@router.patch("/{host_id}", response=STARTED)
def change_host(request: PersonRequest, host_id: int, wish: HostChangeIn) -> Any:
    """Change name, address or account; what is left out stays. The pinned keys stay."""
    host = managed(request, host_id)
    now = {field: getattr(host, field) for field in FIELDS}
    form = HostForm({**now, "port": host.port or None, **wish.dict(exclude_unset=True)}, host=host)
    data = cleaned(form)
    return begin(request, "hosts.edit", host, {field: data[field] for field in FIELDS if field in data})


@router.delete("/{host_id}", response=STARTED)
def remove_host(request: PersonRequest, host_id: int, wish: RemoveHostIn) -> Any:
    """Remove Drover's record of a host. What runs there keeps running. `name` confirms which one is meant."""
    host = managed(request, host_id)
    data = cleaned(RemoveForm(wish.dict(), host=host))
    return begin(request, "hosts.remove", host, {key: bool(data[key]) for key in ("remove_keys", "forget_vms")})


@router.get("/{host_id}/setup", response={200: SetupOut, 403: Problem, 404: Problem})
def get_setup(request: PersonRequest, host_id: int) -> Any:
    """How far the adding of a host is: fingerprints it shows, those pinned, what the look over found."""
    return managed(request, host_id)


@router.post("/{host_id}/pin", response=STARTED)
def pin_keys(request: PersonRequest, host_id: int, wish: FingerprintsIn) -> Any:
    """Trust exactly the keys with these fingerprints (all that `setup` offers), and try to log in.

    For a host of the cluster whose keys changed: `actions/probe` first, compare, then this.
    """
    host = managed(request, host_id)
    name = "hosts.repin" if host.is_managed else "hosts.pin"
    return begin(request, name, host, {"keys": host.offered_as(set(wish.fingerprints))})


@router.post("/{host_id}/install-key", response=STARTED)
def install_key(request: PersonRequest, host_id: int, wish: PasswordIn) -> Any:
    """Log in once with a password, which is kept nowhere, and add Drover's key to the account."""
    host = managed(request, host_id)
    password = cleaned(PasswordForm(wish.dict()))["password"]
    operation = by_name("hosts.install_key")(host)
    operation.refuse()  # first: a password that nobody takes is kept for no minute
    operation.params["secret"] = secrets.put(password)
    return Status(202, enqueue(operation, user=request.user))


@router.post("/{host_id}/maintenance", response=STARTED)
def set_maintenance(request: PersonRequest, host_id: int, wish: MaintenanceIn) -> Any:
    """Enter or leave maintenance: no new VMs are put there."""
    host = managed(request, host_id)
    note = cleaned(MaintenanceForm({"note": wish.note}))["note"]
    return begin(request, "hosts.maintenance", host, {"on": wish.on, "note": note})


@router.post("/{host_id}/evacuate", response=STARTED)
def evacuate(request: PersonRequest, host_id: int, wish: EvacuateIn | None = None) -> Any:
    """Enter maintenance and move every VM away live; one job with a child for each."""
    host = managed(request, host_id)
    return begin(request, "hosts.evacuate", host, cleaned(EvacuateForm(wish.dict() if wish else {})))


@router.post("/{host_id}/declare-off", response=STARTED)
def declare_off(request: PersonRequest, host_id: int, wish: NameIn) -> Any:
    """Say that a host that does not answer is switched off, so that its VMs may start elsewhere."""
    host = managed(request, host_id)
    cleaned(NameForm(wish.dict(), host=host))
    return begin(request, "hosts.declare_off", host)


@router.post("/{host_id}/actions/{action}", response=STARTED)
def act_on_host(request: PersonRequest, host_id: int, action: str) -> Any:
    """probe, try-login, preflight, accept (while it is being added); refresh, declare-on."""
    host = managed(request, host_id)
    if action not in ACTIONS or (action == "probe" and host.transport != Transport.SSH):
        raise Http404
    return begin(request, ACTIONS[action], host)
