"""Changing a host: each view is a dialog, its POST a job."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.rules import PersonRequest, can, permission_required, visible
from hosts.forms import EvacuateForm, HostForm, MaintenanceForm, NameForm, PasswordForm, RemoveForm
from hosts.models import Host
from hosts.operations.care import FIELDS
from jobs import secrets
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from jobs.operations import Operation, by_name
from ui.forms import add_refusal, posted
from ui.htmx import is_partial, job_response, note_response, render_dialog

Params = Callable[[Any], dict[str, Any]]


def find(request: PersonRequest, pk: int) -> Host:
    return get_object_or_404(visible(request.user, Host.objects.all()), pk=pk)


def _dialog(
    request: PersonRequest, host: Host, form: forms.Form, operation: Callable[[], Operation], template: str, **more: Any
) -> HttpResponse:
    """Show the dialog, or on POST enqueue its operation; what is wrong stands beside the field."""
    refusal = operation().refusal(request.user, host)
    if request.method == "POST" and form.is_valid():
        try:
            return _after(request, host, enqueue(operation(), user=request.user))
        except Refused as refused:
            add_refusal(form, refused)
    status = 422 if form.errors else 200
    return render_dialog(request, template, {"host": host, "form": form, "refusal": refusal, **more}, status=status)


def _after(request: PersonRequest, host: Host, job: Job) -> HttpResponse:
    """The dialog closes and the dock shows the job; a host that is being added goes back to its steps."""
    if job.operation == "hosts.remove" and is_partial(request):
        return HttpResponse(status=204, headers={"HX-Redirect": redirect("hosts:index").url})
    if not host.is_managed and not is_partial(request):
        return redirect("hosts:index" if job.operation == "hosts.remove" else "hosts:setup", *_key(host, job))
    return job_response(request, job)


def _key(host: Host, job: Job) -> list[int]:
    return [] if job.operation == "hosts.remove" else [host.pk]


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def edit(request: PersonRequest, pk: int) -> HttpResponse:
    host = find(request, pk)
    now = {field: getattr(host, field) for field in FIELDS}
    form = HostForm(posted(request), host=host, initial={**now, "port": host.port or None})

    def operation() -> Operation:
        data = {key: value for key, value in getattr(form, "cleaned_data", {}).items() if key in FIELDS}
        return by_name("hosts.edit")(host, data)

    return _dialog(request, host, form, operation, "hosts/_edit_dialog.html")


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def maintenance(request: PersonRequest, pk: int) -> HttpResponse:
    """Begin maintenance, with or without moving the VMs away; or end it."""
    host = find(request, pk)
    form = MaintenanceForm(posted(request))

    def operation() -> Operation:
        data = getattr(form, "cleaned_data", {})
        if data.get("evacuate") and not host.maintenance:
            return by_name("hosts.evacuate")(host, {"note": data.get("note", "")})
        return by_name("hosts.maintenance")(host, {"on": not host.maintenance, "note": data.get("note", "")})

    return _dialog(request, host, form, operation, "hosts/_maintenance_dialog.html")


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def evacuate(request: PersonRequest, pk: int) -> HttpResponse:
    host = find(request, pk)
    form = EvacuateForm(posted(request))

    def operation() -> Operation:
        return by_name("hosts.evacuate")(host, dict(getattr(form, "cleaned_data", {})))

    return _dialog(request, host, form, operation, "hosts/_evacuate_dialog.html")


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def declare_off(request: PersonRequest, pk: int) -> HttpResponse:
    host = find(request, pk)
    form = NameForm(posted(request), host=host)
    return _dialog(request, host, form, lambda: by_name("hosts.declare_off")(host), "hosts/_declare_off_dialog.html")


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def remove(request: PersonRequest, pk: int) -> HttpResponse:
    host = find(request, pk)
    form = RemoveForm(posted(request), host=host)

    def operation() -> Operation:
        data = getattr(form, "cleaned_data", {})
        wishes = {key: bool(data.get(key)) for key in ("remove_keys", "forget_vms")}
        return by_name("hosts.remove")(host, wishes)

    return _dialog(request, host, form, operation, "hosts/_remove_dialog.html")


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def repin(request: PersonRequest, pk: int) -> HttpResponse:
    """Old and new fingerprints side by side. A job asks for the new ones: that is a button in the dialog."""
    host = find(request, pk)
    form = forms.Form(posted(request))
    params = {"keys": host.offered_as(set(request.POST.getlist("fingerprint")))}
    job = Job.objects.filter(operation="hosts.probe", target_key=str(host.pk)).first()
    return _dialog(
        request, host, form, lambda: by_name("hosts.repin")(host, params), "hosts/_repin_dialog.html", job=job
    )


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def let_in(request: PersonRequest, pk: int) -> HttpResponse:
    """For a host of the cluster that no longer accepts Drover's key: the password once more, or the line to add."""
    host = find(request, pk)
    form = PasswordForm(posted(request))

    def operation() -> Operation:
        password = getattr(form, "cleaned_data", {}).get("password", "")
        return by_name("hosts.install_key")(host, {"secret": secrets.put(password)} if password else {})

    return _dialog(request, host, form, operation, "hosts/_let_in_dialog.html")


ONE_CLICK = {
    "refresh": "hosts.refresh",
    "preflight": "hosts.preflight",
    "probe": "hosts.probe",
    "try-login": "hosts.try_login",
    "leave-maintenance": "hosts.maintenance",
    "declare-on": "hosts.declare_on",
}


@require_POST
@permission_required("hosts.manage")
def act(request: PersonRequest, pk: int, verb: str) -> HttpResponse:
    """Buttons without a dialog."""
    host = find(request, pk)
    if verb not in ONE_CLICK:
        raise Http404
    params = {"on": False} if verb == "leave-maintenance" else {}
    try:
        job = enqueue(by_name(ONE_CLICK[verb])(host, params), user=request.user)
    except Refused as refused:
        return note_response(request, refused.message, host.get_absolute_url())
    if verb == "probe" and is_partial(request):
        return repin_again(request, host)
    return job_response(request, job)


def repin_again(request: PersonRequest, host: Host) -> HttpResponse:
    """The open dialog goes on: it shows the new keys as soon as the host has answered."""
    job = Job.objects.filter(operation="hosts.probe", target_key=str(host.pk)).first()
    return render_dialog(request, "hosts/_repin_dialog.html", {"host": host, "form": forms.Form(), "job": job})


def _for_all(request: PersonRequest, name: str, template: str) -> HttpResponse:
    """A dialog with nothing to fill in, for an operation on all hosts that are reached by SSH."""
    form = forms.Form(posted(request))
    members = list(Host.objects.filter(is_managed=True, transport__in=["ssh", "local"]).only("name", "address"))
    if request.method == "POST":
        try:
            return job_response(request, enqueue(by_name(name)(), user=request.user))
        except Refused as refused:
            form.is_valid()
            add_refusal(form, refused)
    context = {"form": form, "members": members, "refusal": by_name(name).refusal(request.user, None)}
    return render_dialog(request, template, context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def trust(request: PersonRequest) -> HttpResponse:
    return _for_all(request, "hosts.trust", "hosts/_trust_dialog.html")


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def encryption(request: PersonRequest) -> HttpResponse:
    return _for_all(request, "hosts.encryption", "hosts/_encryption_dialog.html")


@require_POST
@permission_required("hosts.manage")
def common_cpu(request: PersonRequest) -> HttpResponse:
    return job_response(request, enqueue(by_name("hosts.common_cpu")(), user=request.user))


@require_GET
@permission_required("hosts.view")
def checks(request: PersonRequest, pk: int) -> HttpResponse:
    """What the last look over found; the whole list, on the host's page and alone."""
    host = find(request, pk)
    context = {"host": host, "can_manage": can(request.user, "hosts.manage")}
    return render_dialog(request, "hosts/_checks_dialog.html", context)
