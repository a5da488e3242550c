"""The steps of signing in, which are allauth's: how they begin, what they may, and where they lead."""

import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login as begin_session
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from access.models import DirectoryEntry, User
from access.names import free_name
from access.signals import refused
from access.ways import WAY

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def by_password(request: HttpRequest, person: User, url: str) -> HttpResponse:
    """Who gave the right name and password: logged in, or led to the second factor first."""
    request.session[WAY] = way_of(person)
    record_authentication(request, person, method="password", username=person.username)
    return perform_login(request, Login(user=person, redirect_url=url))


def way_of(person: User) -> str:
    return "directory" if getattr(person, "backend", "").endswith(".Directory") else "password"


def is_fresh(request: HttpRequest) -> bool:
    """Whether who sits there has shown it lately, by logging in or when asked again."""
    records = get_authentication_records(request, request.user)
    return bool(records) and time.time() - records[-1]["at"] < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


class Adapter(DefaultAccountAdapter):
    """allauth's account side, with what Drover has of its own."""

    def get_login_stages(self) -> list[str]:
        return ["access.stages.SecondFactor"]

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def login(self, request: HttpRequest, user: Any) -> None:
        begin_session(request, user, backend=MODEL_BACKEND)

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponseRedirect:
        return sent_back(request, _("This person may not log in."), user)

    def populate_username(self, request: HttpRequest, user: Any) -> None:
        user.username = free_name(user.username)

    def clean_username(self, username: str, shallow: bool = False) -> str:
        return username  # free_name makes it one

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Whoever is in the directory is asked for the password there."""
        found: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if DirectoryEntry.objects.filter(user=user.pk).exists():
            words = {"id": "reauthenticate", "description": _("Password"), "url": reverse("account_reauthenticate")}
            found.insert(0, words)
        return found

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        return not is_fresh(self.request)


def sent_back(request: HttpRequest, reason: str, person: Any = None) -> HttpResponseRedirect:
    """To the login page, with the reason; recorded."""
    refused.send(sender=Adapter, request=request, user=person, reason=reason)
    messages.error(request, reason)
    return redirect("access:login")
