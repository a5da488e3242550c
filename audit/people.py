"""Logging in and out, failing to, being locked out: told by signals, whatever the way of logging in."""

from typing import Any

from django.apps import apps
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.utils.translation import gettext as _

from access.models import ApiToken, Invitation, User, WebSession
from access.signals import factor_changed, joined, refused, session_ended
from access.ways import how
from audit import origin
from audit.entries import record
from audit.models import Entry
from audit.states import Result
from audit.watched import named

WAS_LOCKED = "_audit_was_locked"
MOST_SEEN = 10_000
_seen: set[tuple[str, str]] = set()


def listen() -> None:
    user_logged_in.connect(logged_in, dispatch_uid="audit")
    user_logged_out.connect(logged_out, dispatch_uid="audit")
    user_login_failed.connect(login_failed, dispatch_uid="audit")
    refused.connect(not_let_in, dispatch_uid="audit")
    joined.connect(has_joined, dispatch_uid="audit")
    session_ended.connect(ended, dispatch_uid="audit")
    factor_changed.connect(changed_factor, dispatch_uid="audit")
    if apps.is_installed("axes"):
        from axes.signals import user_locked_out

        user_locked_out.connect(locked_out, dispatch_uid="audit")


def logged_in(sender: Any, user: User, request: HttpRequest | None = None, **more: Any) -> None:
    record("access.login", by=user, on=user, details=how(request))


def not_let_in(sender: Any, user: User | None, reason: str, **more: Any) -> None:
    record("access.login", by=user, on=user, result=Result.FAILED, reason=reason)


def logged_out(sender: Any, user: User | None, **more: Any) -> None:
    if user is not None:
        record("access.logout", by=user, on=user)


def has_joined(sender: Any, user: User, invitation: Invitation, **more: Any) -> None:
    record("access.invitation_used", by=user, on=invitation)


def changed_factor(sender: Any, user: User, kind: str, is_new: bool, **more: Any) -> None:
    record("access.factor_added" if is_new else "access.factor_removed", on=user, details={"kind": kind})


def ended(sender: Any, user: User, session: WebSession, **more: Any) -> None:
    record("access.session_ended", on=user, details={"from": session.address, "browser": session.browser})


def login_failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **more: Any) -> None:
    """A name that nobody has is not written down: it may be a password that went into the wrong field.

    Nor is what is tried while locked out: it costs nothing to try, and would fill the disk.
    """
    if getattr(request, "axes_locked_out", False):
        setattr(request, WAS_LOCKED, True)
        return
    asked = getattr(request, "user", None)
    if isinstance(asked, User):
        wrong = _("Wrong second factor.") if credentials.get("factor") else _("Wrong password.")
        record("access.password_asked", by=asked, on=asked, result=Result.FAILED, reason=wrong)
        return
    person = _of_name(credentials.get("username"))
    reason = _("Wrong password.") if person else _("Nobody has this name.")
    reason = _("Wrong second factor.") if credentials.get("factor") else reason
    record("access.login", by=person, on=person, result=Result.FAILED, reason=reason)


def locked_out(sender: Any, request: HttpRequest | None = None, username: str | None = None, **more: Any) -> None:
    """axes tells it again at each try."""
    if not getattr(request, WAS_LOCKED, False):
        person = _of_name(username)
        record("access.locked_out", by=person, on=person, result=Result.REFUSED, reason=_("Too many failures."))


def token_used(secret: str, user: User) -> None:
    """An API token came with a request: an entry if it never came from this address before.

    A process asks the database once for each token and address.
    """
    here = origin.current()
    digest = ApiToken.digest_of(secret)
    seen = (digest, here.address if here else "")
    if here is None or seen in _seen:
        return
    token = ApiToken.objects.select_related("user").filter(digest=digest).first()
    if token is None:
        return
    thing = named(token)
    known = Entry.objects.filter(action="access.token_used", kind=thing.kind, key=thing.key, address=here.address)
    if not known.exists():
        record("access.token_used", by=user, on=thing)
        here.entries -= 1  # it tells nothing of what the request tries
    if len(_seen) >= MOST_SEEN:
        _seen.clear()
    _seen.add(seen)


def _of_name(name: Any) -> User | None:
    """The person; with a NUL or half a character in it PostgreSQL could not even be asked."""
    if not isinstance(name, str) or "\x00" in name or not name.isprintable():
        return None
    return User.objects.filter(username=name[:150]).first()
