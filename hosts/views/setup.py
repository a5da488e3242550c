"""Adding a host: one page per host whose content follows its step. Works with and without JavaScript."""

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.rules import PersonRequest, permission_required, visible
from hosts.forms import HostForm, PasswordForm
from hosts.models import Host
from hosts.operations.onboarding import AcceptHost, InstallKey, PinKeys, ProbeHost, TryLogin, begin_host
from hosts.operations.preflight import PreflightHost
from hosts.states import Level, SetupStep
from jobs import secrets
from jobs.engine import enqueue
from jobs.errors import Refused, Text
from jobs.models import Job
from jobs.operations import Operation
from ui.forms import add_refusal, posted
from ui.htmx import is_partial, render_dialog


@require_http_methods(["GET", "POST"])
@permission_required("hosts.manage")
def add(request: PersonRequest) -> HttpResponse:
    """The first step: name and address. Makes the row, which nothing looks after yet, and asks for the SSH keys."""
    form = HostForm(posted(request))
    if request.method == "POST" and form.is_valid():
        job = begin_host(request.user, form.cleaned_data)
        response = redirect("hosts:setup", int(job.target_key))
        if is_partial(request):
            return HttpResponse(status=204, headers={"HX-Redirect": response.url})
        return response
    status = 422 if form.errors else 200
    return render_dialog(request, "hosts/_add_dialog.html", {"form": form}, status=status)


@require_GET
@permission_required("hosts.manage")
def setup(request: PersonRequest, pk: int) -> HttpResponse:
    """The page of the present step, or only its changing part for htmx."""
    host = get_object_or_404(visible(request.user, Host.objects.all()), pk=pk)
    if host.is_managed and not is_partial(request):
        return redirect(host)
    return _show(request, host)


def _show(
    request: PersonRequest, host: Host, *, form: PasswordForm | None = None, refused: Text = "", status: int = 200
) -> HttpResponse:
    job = Job.objects.filter(target_kind="host", target_key=str(host.pk)).first()
    levels = [check["level"] for check in host.preflight]
    context = {
        "host": host,
        "job": job,
        "is_busy": job is not None and job.is_active,
        "steps": SetupStep.choices,
        "step_number": SetupStep.values.index(host.setup_step) + 1 if host.setup_step else len(SetupStep) + 1,
        "form": form or PasswordForm(),
        "refused": refused,
        "problems": levels.count(Level.PROBLEM),
        "warnings": levels.count(Level.WARNING),
    }
    if is_partial(request):
        return render(request, "hosts/_setup.html", context, status=status)
    return render(request, "hosts/setup.html", context, status=status)


def _step(request: PersonRequest, host: Host, operation: Operation) -> HttpResponse:
    """Enqueue a step's operation and show the page with its progress; beside it why it was refused."""
    try:
        enqueue(operation, user=request.user)
    except Refused as refused:
        return _show(request, host, refused=refused.message, status=422)
    return _show(request, host) if is_partial(request) else redirect("hosts:setup", host.pk)


def _host_being_added(request: PersonRequest, pk: int) -> Host:
    return get_object_or_404(visible(request.user, Host.objects.filter(is_managed=False)), pk=pk)


@require_POST
@permission_required("hosts.manage")
def probe(request: PersonRequest, pk: int) -> HttpResponse:
    host = _host_being_added(request, pk)
    return _step(request, host, ProbeHost(host))


@require_POST
@permission_required("hosts.manage")
def pin(request: PersonRequest, pk: int) -> HttpResponse:
    """The person compared the fingerprint; the form carries the keys that were on the page, not what came since."""
    host = _host_being_added(request, pk)
    keys = host.offered_as(set(request.POST.getlist("fingerprint")))
    return _step(request, host, PinKeys(host, {"keys": keys}))


@require_POST
@permission_required("hosts.manage")
def install_key(request: PersonRequest, pk: int) -> HttpResponse:
    """The password goes to Redis for some minutes and to the worker by reference: never to a row."""
    host = _host_being_added(request, pk)
    form = PasswordForm(request.POST)
    if not form.is_valid():
        return _show(request, host, form=form, status=422)
    if InstallKey.refusal(request.user, host) is not None:
        raise PermissionDenied
    try:
        operation = InstallKey(host, {"secret": secrets.put(form.cleaned_data["password"])})
    except Refused as refused:
        add_refusal(form, refused)
        return _show(request, host, form=form, status=422)
    return _step(request, host, operation)


@require_POST
@permission_required("hosts.manage")
def try_login(request: PersonRequest, pk: int) -> HttpResponse:
    host = _host_being_added(request, pk)
    return _step(request, host, TryLogin(host))


@require_POST
@permission_required("hosts.manage")
def preflight(request: PersonRequest, pk: int) -> HttpResponse:
    host = _host_being_added(request, pk)
    return _step(request, host, PreflightHost(host))


@require_POST
@permission_required("hosts.manage")
def accept(request: PersonRequest, pk: int) -> HttpResponse:
    host = _host_being_added(request, pk)
    return _step(request, host, AcceptHost(host))
