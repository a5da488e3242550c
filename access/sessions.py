"""Who stands behind a web session now: for sockets and consoles, which stay open long after they were let in."""

from collections.abc import Iterable

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from access import duties, rights
from access.models import User


def people_of(session_keys: Iterable[str]) -> dict[str, User]:
    """Those of the sessions that a page would still let in, and as whom: not after logging out, being deactivated
    or deleted, or changing the password elsewhere; nor with something to do first (`access.duties`).

    What they were given is loaded: five queries for any number.
    """
    rows = Session.objects.filter(session_key__in=set(session_keys), expire_date__gt=timezone.now())
    claims = {row.session_key: row.get_decoded() for row in rows}
    keys = {str(claim[SESSION_KEY]) for claim in claims.values() if SESSION_KEY in claim}
    people = {str(person.pk): person for person in User.objects.filter(pk__in=keys, is_active=True)}
    rights.load(people.values())
    required, found = duties.required_roles(), {}
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
