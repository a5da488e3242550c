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
from django.utils.translation import gettext as _

from access.models import User
from access.signals import refused
from access.ways import WAY

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def by_password(request: HttpRequest, person: User, url: str) -> HttpResponse:
    """Who gave the right name and password: logged in, or led to the second factor first."""
    request.session[WAY] = way_of(person)
    record_authentication(request, person, method="password", username=person.username)
    return perform_login(request, Login(user=person, redirect_url=url))


def way_of(person: User) -> str:
    backend = getattr(person, "backend", MODEL_BACKEND)
    return "password" if backend == MODEL_BACKEND else "directory"


def is_fresh(request: HttpRequest) -> bool:
    """Whether who sits there has shown it lately, by logging in or when asked again."""
    records = get_authentication_records(request, request.user)
    return bool(records) and time.time() - records[-1]["at"] < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


class Adapter(DefaultAccountAdapter):
    """allauth's account side, with what Drover has of its own."""

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

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        return not is_fresh(self.request)


def sent_back(request: HttpRequest, reason: str, person: Any = None) -> HttpResponseRedirect:
    """To the login page, with the reason; recorded."""
    refused.send(sender=Adapter, request=request, user=person, reason=reason)
    messages.error(request, reason)
    return redirect("access:login")


def free_name(wanted: str) -> str:
    """A username nobody has, like the wanted one: anna, anna2, anna3."""
    signs = "".join(sign for sign in wanted if sign.isalnum() or sign in "@.+-_")[:140] or "person"
    taken = {
        name.lower() for name in User.objects.filter(username__istartswith=signs).values_list("username", flat=True)
    }
    number, name = 1, signs
    while name.lower() in taken:
        number += 1
        name = f"{signs}{number}"
    return name
