from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from access.models import ApiToken, User
from access.scopes import AREAS

LIFETIMES = [
    ("7", _("7 days")),
    ("30", _("30 days")),
    ("90", _("90 days")),
    ("365", _("one year")),
    ("0", _("ever, until revoked")),
]


def locked_out_error() -> ValidationError:
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    words = ngettext(
        "Too many failed attempts with this name from your address. Try again in %(n)d minute.",
        "Too many failed attempts with this name from your address. Try again in %(n)d minutes.",
        minutes,
    )
    return ValidationError(words % {"n": minutes}, code="locked_out")


class LoginForm(AuthenticationForm):
    """After too many failures (django-axes) it says so, whether or not there is such a person."""

    def get_invalid_login_error(self) -> ValidationError:
        if getattr(self.request, "directory_is_away", False) and not getattr(self.request, "axes_locked_out", False):
            return ValidationError(_("The directory does not answer. Local accounts can log in."), code="away")
        if not getattr(self.request, "axes_locked_out", False):
            return ValidationError(_("The username or the password is not right."), code="invalid_login")
        return locked_out_error()

    def clean_username(self) -> str:
        """Nobody has a longer name than the database takes: PostgreSQL would not even look for it."""
        name: str = self.cleaned_data["username"]
        if len(name) > (User._meta.get_field("username").max_length or 0):
            raise self.get_invalid_login_error()
        return name


class ChangePasswordForm(PasswordChangeForm):
    """Asks for the old password as the login does: who found an open page can't guess it without end."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]
        if authenticate(self.request, username=self.user.get_username(), password=old) != self.user:
            if getattr(self.request, "axes_locked_out", False):
                raise locked_out_error()
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return old

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        new = cleaned.get("new_password2")
        if new and self.user.must_change_password and self.user.check_password(new):
            self.add_error("new_password2", _("This is the password you were given: choose your own."))
        return cleaned

    def save(self, commit: bool = True) -> User:
        self.user.must_change_password = False
        person: User = super().save(commit)
        return person


class ThemeForm(forms.Form):
    theme = forms.ChoiceField(choices=[("auto", "auto"), ("light", "light"), ("dark", "dark")])


class TokenForm(forms.Form):
    name = forms.CharField(
        label=_("What is it for?"),
        max_length=ApiToken._meta.get_field("name").max_length,
        help_text=_("For example: the backup script."),
    )
    days = forms.ChoiceField(label=_("Valid for"), choices=LIFETIMES, initial="90")
    may_change = forms.TypedChoiceField(
        label=_("It may"),
        choices=[("yes", _("read and change, as you may")), ("no", _("only read"))],
        coerce=lambda chosen: chosen == "yes",
        initial="no",
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )
    areas = forms.MultipleChoiceField(
        label=_("Only"),
        choices=AREAS,
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
        help_text=_("Nothing ticked: everything."),
    )


class SshKeysForm(forms.Form):
    keys = forms.CharField(
        label=_("Public keys"),
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "placeholder": "ssh-ed25519 AAAA… me@laptop"}),
        help_text=_("One a line: what is in ~/.ssh/id_ed25519.pub, or a whole authorized_keys file."),
    )
