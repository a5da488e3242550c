"""The create page: one form, with the place and the first-boot files shown before anything is made."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from access.rules import PersonRequest, permission_required
from hosts.models import Host
from jobs.errors import Refused
from storage.models import Image, Pool
from ui.forms import add_refusal
from virt import seed
from vms import creation
from vms.create_form import NICS, CreateForm, last_time
from vms.models import Vm
from vms.operations.create import seed_spec
from vms.placement import candidates
from vms.spec import NewVms, hostname_of

SHOWN = 8
FIRST_BOOT = ("user", "ssh_keys", "password", "hostname", "domain", "packages", "user_data")
EXAMPLE_ID = str(UUID(int=0))
HIDDEN_HASH = "$6$" + "x" * 16 + "$" + "x" * 86


@require_http_methods(["GET", "POST"])
@permission_required("vms.create")
def create(request: PersonRequest) -> HttpResponse:
    if request.method == "GET":
        initial = {**last_time(request.user), **request.GET.dict()}
        return page(request, CreateForm(user=request.user, initial=initial))
    form = CreateForm(request.POST, user=request.user)
    if form.is_valid() and "look" not in request.POST:
        try:
            job = creation.request(request.user, form.wish())
        except Refused as refused:
            add_refusal(form, refused)
        else:
            vm = Vm.objects.filter(uuid=job.target_key).first() if job.target_key else None
            return HttpResponseRedirect(vm.get_absolute_url() if vm else job.get_absolute_url())
    return page(request, form, status=200 if "look" in request.POST else 422)


def page(request: PersonRequest, form: CreateForm, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "first_nic": form.nics[0],
        "more_nics": form.nics[1:],
        "more_nics_open": any(nic.errors or nic["source"].value() for nic in form.nics[1:]),
        "nics": NICS,
        "has_host": Host.objects.filter(is_managed=True).exists(),
        "has_pool": Pool.objects.exists(),
        "has_image": Image.objects.exists(),
    }
    if form.is_bound:
        context |= places(form) | files(form)
    return render(request, "vms/create.html", context, status=status)


@require_POST
@permission_required("vms.create")
def placement(request: PersonRequest) -> HttpResponse:
    """Where it would go, as far as the form is filled in."""
    return render(request, "vms/_placement.html", places(read(request)))


@require_POST
@permission_required("vms.create")
def preview(request: PersonRequest) -> HttpResponse:
    """The first-boot files as the guest will see them, or what is wrong with them."""
    return render(request, "vms/_preview.html", files(read(request)))


def read(request: PersonRequest) -> CreateForm:
    form = CreateForm(request.POST, user=request.user)
    form.full_clean()
    return form


def places(form: CreateForm) -> dict[str, Any]:
    wish = form.wish()
    found = candidates(creation.place_wish(wish))
    chosen = next((one for one in found if one.host.pk == wish.host), None)
    fitting = [one for one in found if one.fits]
    return {
        "best": chosen or (fitting[0] if fitting else None),
        "is_chosen": chosen is not None,
        "fitting": fitting[:SHOWN],
        "more_fitting": max(0, len(fitting) - SHOWN),
        "unfit": [one for one in found if not one.fits][:SHOWN],
        "more_unfit": max(0, len(found) - len(fitting) - SHOWN),
        "count": wish.count,
    }


def files(form: CreateForm) -> dict[str, Any]:
    """The seed's files with the password's hash masked; nothing if no first boot is asked for."""
    wish = form.wish()
    if not wish.first_boot.enabled:
        return {"files": {}, "problem": ""}
    wrong = [str(message) for name in FIRST_BOOT for message in form.errors.get(name, [])]
    if wrong:
        return {"files": {}, "problem": " ".join(wrong)}
    try:
        return {"files": rendered(wish), "problem": ""}
    except ValueError as error:
        return {"files": {}, "problem": str(error)}


def rendered(wish: NewVms) -> dict[str, str]:
    boot = wish.first_boot
    hostname = boot.hostname if boot.hostname and wish.count == 1 else hostname_of(wish.names()[0])
    shown = {
        "hostname": hostname,
        "domain": boot.domain,
        "user": boot.user,
        "ssh_keys": boot.ssh_keys,
        "allow_password_ssh": boot.allow_password_ssh,
        "packages": boot.packages,
    }
    nics = [
        {
            "mac": nic.mac or f"52:54:00:00:00:{place:02x}",
            "address": nic.address,
            "gateway": nic.gateway,
            "dns": nic.dns,
        }
        for place, nic in enumerate(wish.nics)
    ]
    secret = {"password_hash": HIDDEN_HASH if boot.password_hash else "", "user_data": boot.user_data}
    made = seed.render(seed_spec(EXAMPLE_ID, shown, nics, secret))
    hidden = _("(hash of the password)")
    return {name: text.replace(HIDDEN_HASH, hidden) for name, text in made.items()}
