"""Pages of second factors: one's own, the rule for roles, and the help for who lost theirs."""

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.duties import duty_of
from access.factors import drop_all
from access.models import RequiredFactor, Role, User
from access.people import Denied
from access.people_forms import RequiredFactorsForm
from access.rules import PersonRequest, permission_required
from ui.forms import posted
from ui.htmx import done_response, note_response, render_dialog


@never_cache
@require_GET
def index(request: PersonRequest) -> HttpResponse:
    """What somebody has, or how to set up the first one if their role needs it."""
    rows: list[Any] = list(Authenticator.objects.filter(user=request.user).order_by("id"))
    codes = next((one for one in rows if one.type == "recovery_codes"), None)
    context = {
        "app": next((one for one in rows if one.type == "totp"), None),
        "passkeys": [one for one in rows if one.type == "webauthn"],
        "codes": codes,
        "codes_left": len(RecoveryCodes(codes).get_unused_codes()) if codes else 0,
        "duty": duty_of(request.user),
    }
    return render(request, "access/factors.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("access.manage")
def require_by_role(request: PersonRequest) -> HttpResponse:
    now = list(RequiredFactor.objects.values_list("role", flat=True))
    form = RequiredFactorsForm(posted(request), initial={"roles": now})
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data["roles"]
        for one in RequiredFactor.objects.exclude(role__in=wanted):
            one.delete()
        for role in Role.values:
            if role in wanted and role not in now:
                RequiredFactor.objects.create(role=role)
        return done_response(request, reverse("access:people"), _("Saved."))
    status = 422 if form.is_bound else 200
    return render_dialog(request, "access/_required_factors_dialog.html", {"form": form}, status=status)


@require_POST
@permission_required("access.manage")
def drop(request: PersonRequest, pk: int) -> HttpResponse:
    """All second factors of somebody who lost them."""
    found = get_object_or_404(User, pk=pk)
    try:
        had_some = drop_all(request.user, found)
    except Denied as denied:
        return note_response(request, denied.message, found.get_absolute_url())
    words = _("%(name)s logs in without a second factor now.") if had_some else _("%(name)s has no second factor.")
    return done_response(request, found.get_absolute_url(), words % {"name": found.username})
