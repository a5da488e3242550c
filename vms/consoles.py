"""Tickets for consoles: random, hashed at rest, single-use, valid 30 s, bound to user + VM + web session."""

import hashlib
import secrets
from datetime import timedelta

from django.contrib.sessions.models import Session
from django.utils import timezone

from access.models import User
from access.rules import can, visible
from vms.models import ConsoleKind, ConsoleSession, Vm

VALID_FOR = timedelta(seconds=30)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def issue(vm: Vm, user: User, session_key: str, *, kind: str, view_only: bool, address: str | None) -> str:
    """A new ticket for one console of one VM; only its digest is kept."""
    ticket = secrets.token_urlsafe(32)
    ConsoleSession.objects.create(
        vm=vm,
        user=user,
        session_digest=digest(session_key),
        ticket_digest=digest(ticket),
        kind=ConsoleKind(kind),
        view_only=view_only,
        address=address,
        expires_at=timezone.now() + VALID_FOR,
    )
    return ticket


def redeem(ticket: str, session_key: str) -> ConsoleSession | None:
    """Use up a ticket. None if unknown, used, expired, of another web session or an ended one, or without the right."""
    now = timezone.now()
    if not Session.objects.filter(session_key=session_key, expire_date__gt=now).exists():
        return None
    mine = ConsoleSession.objects.filter(
        ticket_digest=digest(ticket), session_digest=digest(session_key), used_at=None, expires_at__gt=now
    )
    if mine.update(used_at=now) != 1:
        return None
    session = ConsoleSession.objects.select_related("user", "vm__host").get(ticket_digest=digest(ticket))
    if not can(session.user, "vms.console"):
        return None
    if not visible(session.user, Vm.objects.filter(pk=session.vm_id)).exists():
        return None
    return session


def forget_unused() -> int:
    """Remove tickets nobody used; used ones stay as the audit of their session."""
    stale = ConsoleSession.objects.filter(used_at=None, expires_at__lt=timezone.now() - timedelta(hours=1))
    return stale.delete()[0]


def close_abandoned() -> int:
    """Close the rows of sessions whose console process was killed in the middle: their bytes are not known.

    Called when a console process starts. Another one's session that is still open is closed once more at its end.
    """
    return ConsoleSession.objects.filter(closed_at=None).exclude(used_at=None).update(closed_at=timezone.now())
