"""A person's own page: theme, password, API tokens."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from access import sessions, ssh_keys
from access.forms import ChangePasswordForm, SshKeysForm, ThemeForm, TokenForm
from access.models import ApiToken, SshKey, User, WebSession
from access.people import Denied
from access.rules import PersonRequest
from access.signals import session_ended
from ui.forms import add_refusal, posted
from ui.htmx import done_response, render_dialog, safe_next


def locked_out(request: HttpRequest, response: HttpResponse, credentials: dict[str, Any] | None) -> HttpResponse:
    """The login page as its form made it, with the reason, and a status that programs understand."""
    response.status_code = 429
    return response


class ChangePassword(PasswordChangeView):
    template_name = "access/password.html"
    form_class = ChangePasswordForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if isinstance(request.user, User) and not request.user.has_usable_password():
            messages.error(request, _("Your password is not kept here: change it where you log in with it."))
            return redirect("access:profile")
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        self.is_first = bool(getattr(self.request.user, "must_change_password", False))
        return {**super().get_form_kwargs(), "request": self.request}

    def get_template_names(self) -> list[str]:
        return ["access/first_password.html" if self.is_first else "access/password.html"]

    def form_valid(self, form: Any) -> HttpResponse:
        old = self.request.session.session_key
        response = super().form_valid(form)
        sessions.moved(old, self.request.session.session_key)
        return response

    def get_success_url(self) -> str:
        return reverse("cluster:overview" if self.is_first else "access:profile")


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
    context = {"tokens": tokens, "now": timezone.now(), "ssh_keys": request.user.ssh_keys.all()}
    context |= {"sessions": sessions.open_of(request.user), "this_session": request.session.session_key}
    return render(request, "access/profile.html", context)


@require_http_methods(["GET", "POST"])
def make_token(request: PersonRequest) -> HttpResponse:
    form = TokenForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render_dialog(request, "access/_token_dialog.html", {"form": form}, status=status)
    days = int(form.cleaned_data["days"])
    expires_at = timezone.now() + timedelta(days=days) if days else None
    scope = {name: form.cleaned_data[name] for name in ("may_change", "areas")}
    token, secret = ApiToken.make(request.user, form.cleaned_data["name"], expires_at, **scope)
    return render_dialog(request, "access/_token_made_dialog.html", {"token": token, "secret": secret})


@require_POST
def revoke_token(request: PersonRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken, pk=pk, user=request.user)
    token.delete()
    messages.success(request, _("The token “%(name)s” is revoked.") % {"name": token.name})
    return redirect("access:profile")


@require_http_methods(["GET", "POST"])
def add_ssh_keys(request: PersonRequest) -> HttpResponse:
    form = SshKeysForm(posted(request))
    if form.is_bound and form.is_valid():
        try:
            pasted = ssh_keys.add(request.user, form.cleaned_data["keys"])
        except Denied as denied:
            add_refusal(form, denied)
        else:
            words = _("%(new)s added, %(there)s were there already.")
            counts = {"new": len(pasted.new), "there": pasted.there}
            return done_response(request, reverse("access:profile"), words % counts)
    status = 422 if form.is_bound else 200
    return render_dialog(request, "access/_ssh_keys_dialog.html", {"form": form}, status=status)


@require_POST
def end_session(request: PersonRequest, pk: int) -> HttpResponse:
    """One of one's own; the one this comes from is ended by logging out."""
    here = request.session.session_key
    row = get_object_or_404(WebSession.objects.exclude(session_key=here), pk=pk, user=request.user)
    return _ended(request, [row])


@require_POST
def end_other_sessions(request: PersonRequest) -> HttpResponse:
    here = request.session.session_key
    return _ended(request, WebSession.objects.filter(user=request.user).exclude(session_key=here))


def _ended(request: PersonRequest, rows: Iterable[WebSession]) -> HttpResponse:
    rows = list(rows)
    for row in rows:
        session_ended.send(sender=WebSession, user=request.user, session=row)
    sessions.end(rows)
    words = ngettext("%(n)s session is ended.", "%(n)s sessions are ended.", len(rows)) % {"n": len(rows)}
    return done_response(request, reverse("access:profile"), words)


@require_POST
def remove_ssh_key(request: PersonRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(SshKey, pk=pk, user=request.user)
    key.delete()
    return done_response(request, reverse("access:profile"), _("The key “%(name)s” is removed.") % {"name": key})
