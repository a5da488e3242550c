"""Logging in and out, failing to, being locked out: told by signals, whatever the way of logging in."""

from typing import Any

from django.apps import apps
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.utils.translation import gettext as _

from access.models import User
from audit.entries import record
from audit.states import Result


def listen() -> None:
    user_logged_in.connect(logged_in, dispatch_uid="audit")
    user_logged_out.connect(logged_out, dispatch_uid="audit")
    user_login_failed.connect(login_failed, dispatch_uid="audit")
    if apps.is_installed("axes"):
        from axes.signals import user_locked_out

        user_locked_out.connect(locked_out, dispatch_uid="audit")


def logged_in(sender: Any, user: User, **more: Any) -> None:
    record("access.login", by=user, on=user)


def logged_out(sender: Any, user: User | None, **more: Any) -> None:
    if user is not None:
        record("access.logout", by=user, on=user)


def login_failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **more: Any) -> None:
    """A name that nobody has is not written down: it may be a password that went into the wrong field."""
    refused = bool(getattr(request, "axes_locked_out", False))
    reason = _("Locked out after too many failures.") if refused else _("Wrong password.")
    result = Result.REFUSED if refused else Result.FAILED
    asked = getattr(request, "user", None)
    if isinstance(asked, User):
        record("access.password_asked", by=asked, on=asked, result=result, reason=reason)
        return
    person = _of_name(credentials.get("username"))
    if person is None and not refused:
        reason = _("Nobody has this name.")
    record("access.login", by=person, on=person, result=result, reason=reason)


def locked_out(sender: Any, username: str | None = None, **more: Any) -> None:
    person = _of_name(username)
    record("access.locked_out", by=person, on=person, result=Result.REFUSED, reason=_("Too many failures."))


def _of_name(name: Any) -> User | None:
    """The person; with a NUL or half a character in it PostgreSQL could not even be asked."""
    if not isinstance(name, str) or "\x00" in name or not name.isprintable():
        return None
    return User.objects.filter(username=name[:150]).first()
