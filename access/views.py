"""A person's own page: theme, password, API tokens."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access.forms import ChangePasswordForm, ThemeForm, TokenForm
from access.models import ApiToken
from access.rules import PersonRequest
from ui.htmx import render_dialog, safe_next


def locked_out(request: HttpRequest, response: HttpResponse, credentials: dict[str, Any] | None) -> HttpResponse:
    """The login page as its form made it, with the reason, and a status that programs understand."""
    response.status_code = 429
    return response


class ChangePassword(PasswordChangeView):
    template_name = "access/password.html"
    form_class = ChangePasswordForm
    success_url = reverse_lazy("access:profile")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}


@require_POST
def set_theme(request: PersonRequest) -> HttpResponse:
    form = ThemeForm(request.POST)
    if form.is_valid():
        request.user.theme = form.cleaned_data["theme"]
        request.user.save(update_fields=["theme"])
    return HttpResponseRedirect(safe_next(request, "/"))


@require_GET
def profile(request: PersonRequest) -> HttpResponse:
    tokens = ApiToken.objects.filter(user=request.user).order_by("-id")
    return render(request, "access/profile.html", {"tokens": tokens, "now": timezone.now()})


@require_http_methods(["GET", "POST"])
def make_token(request: PersonRequest) -> HttpResponse:
    form = TokenForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render_dialog(request, "access/_token_dialog.html", {"form": form}, status=status)
    days = int(form.cleaned_data["days"])
    expires_at = timezone.now() + timedelta(days=days) if days else None
    token, secret = ApiToken.make(request.user, form.cleaned_data["name"], expires_at)
    return render_dialog(request, "access/_token_made_dialog.html", {"token": token, "secret": secret})


@require_POST
def revoke_token(request: PersonRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken, pk=pk, user=request.user)
    token.delete()
    messages.success(request, _("The token “%(name)s” is revoked.") % {"name": token.name})
    return redirect("access:profile")
