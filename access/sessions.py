"""Who stands behind a web session now: for sockets and consoles, which stay open long after they were let in."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from access import duties, rights
from access.addresses import client_address
from access.models import ApiToken, User, WebSession
from access.ways import how

OF_A_SCRIPT = "script:"


def key_of_token(token: ApiToken) -> str:
    """What stands for a web session where a script opens a console. It can't be made up without the token's secret."""
    return OF_A_SCRIPT + token.digest


def _people_of_tokens(keys: set[str]) -> dict[str, User]:
    """As long as the token is valid, and for changing VMs."""
    rows = ApiToken.objects.filter(digest__in={key.removeprefix(OF_A_SCRIPT) for key in keys}).select_related("user")
    now = timezone.now()
    return {key_of_token(row): row.user for row in rows if row.is_valid(now) and row.is_for("vms", change=True)}


def people_of(session_keys: Iterable[str]) -> dict[str, User]:
    """Those of the sessions that a page would still let in, and as whom: not after logging out, being deactivated
    or deleted, or changing the password elsewhere; nor with something to do first (`access.duties`).

    What they were given is loaded: five queries for any number.
    """
    keys_of_tokens = {key for key in session_keys if key.startswith(OF_A_SCRIPT)}
    found = _people_of_tokens(keys_of_tokens) if keys_of_tokens else {}
    sessions = set(session_keys) - keys_of_tokens
    rows = Session.objects.filter(session_key__in=sessions, expire_date__gt=timezone.now())
    claims = {row.session_key: row.get_decoded() for row in rows}
    keys = {str(claim[SESSION_KEY]) for claim in claims.values() if SESSION_KEY in claim}
    people = {str(person.pk): person for person in User.objects.filter(pk__in=keys, is_active=True)}
    rights.load([*people.values(), *found.values()])
    required = duties.required_roles()
    for session_key, claim in claims.items():
        person = people.get(str(claim.get(SESSION_KEY)))
        if (
            person is not None
            and duties.has_none(person, required)
            and _is_current(person, str(claim.get(HASH_SESSION_KEY, "")))
        ):
            found[session_key] = person
    return found


def _is_current(person: User, digest: str) -> bool:
    """Whether the session was begun with the password the person has now (as django.contrib.auth.get_user asks)."""
    known = [person.get_session_auth_hash(), *person.get_session_auth_fallback_hash()]
    return any(constant_time_compare(digest, one) for one in known)


def listen() -> None:
    user_logged_in.connect(note, dispatch_uid="access.sessions")


def note(sender: Any, user: User, request: HttpRequest | None = None, **more: Any) -> None:
    """Where a login came from; what is left of this person's sessions that are over goes."""
    key = getattr(getattr(request, "session", None), "session_key", None)
    if request is None or not key:
        return
    rows = WebSession.objects.filter(user=user)
    over = set(rows.values_list("session_key", flat=True)) - {row.session_key for row in open_of(user)}
    rows.filter(session_key__in=over).delete()
    agent = request.headers.get("User-Agent", "").replace("\0", "")[:300]
    facts = {"user": user, "address": client_address(request) or "", "agent": agent, "way": how(request).get("way", "")}
    WebSession.objects.update_or_create(session_key=key, defaults=facts)


def moved(old: str | None, new: str | None) -> None:
    """A session goes on by another key: its own password was changed in it."""
    if old and new and old != new:
        WebSession.objects.filter(session_key=old).update(session_key=new)


def open_of(person: User) -> list[WebSession]:
    """The sessions by which pages would be opened for this person now, newest first."""
    rows = list(WebSession.objects.filter(user=person))
    keys = [row.session_key for row in rows]
    alive = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    claims = {row.session_key: row.get_decoded() for row in alive}
    mine = {
        key
        for key, claim in claims.items()
        if str(claim.get(SESSION_KEY)) == str(person.pk) and _is_current(person, str(claim.get(HASH_SESSION_KEY, "")))
    }
    return [row for row in rows if row.session_key in mine]


@transaction.atomic
def end(rows: Iterable[WebSession]) -> int:
    """Log out from outside: pages at once, open sockets and consoles within seconds."""
    keys = [row.session_key for row in rows]
    Session.objects.filter(session_key__in=keys).delete()
    return WebSession.objects.filter(session_key__in=keys).delete()[0]
