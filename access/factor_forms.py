"""Forms of second factors. Wrong ones count as wrong passwords do: by django-axes, for one person from one address."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.account.forms import ReauthenticateForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as ReauthenticateByCode
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, AuthenticateWebAuthnForm, ReauthenticateWebAuthnForm
from axes.handlers.proxy import AxesProxyHandler
from django import forms
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from access.forms import locked_out_error
from access.models import User

CODE = forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"})


@contextmanager
def readable() -> Iterator[None]:
    """What no browser sends as a passkey's answer is refused as a wrong one is, and is no error of ours."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValidationError(_("That did not work. Try again.")) from error


@contextmanager
def counted(person: User, kind: str) -> Iterator[None]:
    """What is refused inside counts as a failed login; while locked out nothing is tried."""
    request: Any = context.request
    credentials = {"username": person.username, "factor": kind}
    if not AxesProxyHandler.is_allowed(request, credentials):
        request.axes_locked_out = True
        raise locked_out_error()
    try:
        yield
    except ValidationError as error:
        user_login_failed.send(sender=__name__, credentials=credentials, request=request)
        raise (locked_out_error() if getattr(request, "axes_locked_out", False) else error) from error


class CodeForm(AuthenticateForm):
    code = forms.CharField(label=_("Code"), max_length=20, widget=CODE)

    def clean_code(self) -> str:
        with counted(self.user, "code"):
            return str(super().clean_code())


class CodeAgainForm(ReauthenticateByCode):
    code = forms.CharField(label=_("Code"), max_length=20, widget=CODE)

    def clean_code(self) -> str:
        with counted(self.user, "code"):
            return str(super().clean_code())


class PasskeyForm(AuthenticateWebAuthnForm):
    def clean_credential(self) -> Any:
        with counted(self.user, "passkey"), readable():
            return super().clean_credential()


class PasskeyAgainForm(ReauthenticateWebAuthnForm):
    def clean_credential(self) -> Any:
        with counted(self.user, "passkey"), readable():
            return super().clean_credential()


class PasswordAgainForm(ReauthenticateForm):
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def clean_password(self) -> str:
        try:
            return str(super().clean_password())
        except ValidationError as error:
            raise (locked_out_error() if getattr(context.request, "axes_locked_out", False) else error) from error


class AppForm(ActivateTOTPForm):
    code = forms.CharField(label=_("Code that the app shows"), max_length=20, widget=CODE)


class NewPasskeyForm(AddWebAuthnForm):
    name = forms.CharField(label=_("What is it called?"), max_length=100, required=False)
    credential = forms.JSONField(required=True, widget=forms.HiddenInput(attrs={"id": "credential"}))

    def clean(self) -> dict[str, Any]:
        with readable():
            return dict(super().clean() or {})
