"""Second factors: allauth's, kept encrypted, noted on the person, asked again before they are changed."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from access.models import User
from access.people import may_touch
from access.sealed import box
from access.signals import factor_changed
from access.signing_in import is_fresh

FACTORS = ("totp", "webauthn")  # recovery codes alone are none
View = Callable[..., HttpResponseBase]


class Adapter(DefaultMFAAdapter):
    """allauth's side of second factors."""

    def encrypt(self, text: str) -> str:
        return box("second factors").encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return box("second factors").decrypt(encrypted_text.encode()).decode()

    def _get_site_name(self) -> str:
        return "Drover"

    def generate_authenticator_name(self, user: Any, type: Any) -> str:
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return _("Passkey %(n)s") % {"n": number}

    def get_totp_label(self, user: Any) -> str:
        return str(user.username)


def listen() -> None:
    post_save.connect(_note, sender=Authenticator, dispatch_uid="access.factors")
    post_delete.connect(_note, sender=Authenticator, dispatch_uid="access.factors")


def _note(sender: Any, instance: Any, created: bool | None = None, **more: Any) -> None:
    """created is None when it is deleted, False when it was only used."""
    if created is False:
        return
    factor_changed.send(sender=sender, user=instance.user, kind=str(instance.type), is_new=bool(created))
    has_one = Authenticator.objects.filter(user_id=instance.user_id, type__in=FACTORS).exists()
    User.objects.filter(pk=instance.user_id).exclude(has_second_factor=has_one).update(has_second_factor=has_one)


@transaction.atomic
def drop_all(actor: User, person: User) -> bool:
    """For who lost their phone and their codes. Raises Denied."""
    may_touch(actor, person)
    rows = Authenticator.objects.filter(user=person)
    if not rows.exists():
        return False
    for one in rows:
        one.delete()
    return True


def _no_way(request: HttpRequest) -> HttpResponseBase:
    """Who has no password here and no factor yet logged in elsewhere, and does it again."""
    messages.error(request, _("Log out and in again, then change this within ten minutes."))
    return redirect("access:profile")


def with_a_way(view: View) -> View:
    """View decorator for the pages that ask."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not get_adapter().get_reauthentication_methods(request.user):
            return _no_way(request)
        return view(request, *args, **kwargs)

    return wrapper


def asked_again(view: View) -> View:
    """View decorator: only for who has shown lately that they are there; the others are asked, or log in again."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_fresh(request):
            return view(request, *args, **kwargs)
        ways = get_adapter().get_reauthentication_methods(request.user)
        if not ways:
            return _no_way(request)
        return HttpResponseRedirect(f"{ways[0]['url']}?{urlencode({'next': request.path})}")

    return wrapper
