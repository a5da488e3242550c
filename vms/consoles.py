"""Tickets for consoles: random, hashed at rest, single-use, valid 30 s, bound to user + VM + web session."""

import secrets
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from access.rules import role_of, visible
from access.sessions import people_of
from jobs import limits
from jobs.errors import Refused
from ui import locks
from vms import console_record, links
from vms.links import digest
from vms.models import ConsoleKind, ConsoleSession, ScreenLink, Vm

VALID_FOR = timedelta(seconds=30)
NOTED_EVERY = timedelta(seconds=15)
MOST_BY_LINK = 10
DEAD_AFTER = 4 * NOTED_EVERY
TOO_MANY = gettext_lazy("You have %(n)s consoles open already: close some.")
TOO_MANY_BY_LINK = gettext_lazy("%(n)s people look at it by this link already.")


@transaction.atomic
def issue(vm: Vm, user: User, session_key: str, *, kind: str, view_only: bool, address: str | None) -> str:
    """A new ticket for one console of one VM; only its digest is kept. Raises Refused."""
    if not vm.is_alive or vm.host is None:
        raise Refused(_("%(vm)s is %(state)s.") % {"vm": vm, "state": vm.get_state_display()})
    held = Q(used_at__isnull=False) | Q(expires_at__gt=timezone.now())  # open, or about to be
    locks.hold(user)
    limits.check(ConsoleSession.objects.filter(held, user=user, closed_at=None), settings.MOST_CONSOLES, TOO_MANY)
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


@transaction.atomic
def issue_by_link(link: ScreenLink, address: str | None) -> str:
    """A ticket to look at the screen, for whoever has this link. Raises Refused."""
    held = Q(used_at__isnull=False) | Q(expires_at__gt=timezone.now())
    locks.hold(link)
    limits.check(ConsoleSession.objects.filter(held, link=link, closed_at=None), MOST_BY_LINK, TOO_MANY_BY_LINK)
    ticket = secrets.token_urlsafe(32)
    ConsoleSession.objects.create(
        vm=link.vm,
        link=link,
        session_digest=link.digest,
        ticket_digest=digest(ticket),
        kind=ConsoleKind.VNC,
        view_only=True,
        address=address,
        expires_at=timezone.now() + VALID_FOR,
    )
    return ticket


def redeem_by_link(ticket: str) -> ConsoleSession | None:
    """Use up a ticket that a link gave. None if unknown, used, expired, or if the link is over."""
    now = timezone.now()
    mine = ConsoleSession.objects.filter(
        ticket_digest=digest(ticket), link__isnull=False, used_at=None, expires_at__gt=now
    )
    if mine.update(used_at=now) != 1:
        return None
    rows = ConsoleSession.objects.select_related("vm__host", "link__made_by", "user")
    session = rows.get(ticket_digest=digest(ticket))
    return session if session.link_id in links.good([session.link_id or 0]) else None


def redeem(ticket: str, session_key: str) -> ConsoleSession | None:
    """Use up a ticket. None if unknown, used, expired, of another web session or an ended one, or without the right."""
    now = timezone.now()
    person = people_of({session_key}).get(session_key)
    if person is None:
        return None
    mine = ConsoleSession.objects.filter(
        ticket_digest=digest(ticket), session_digest=digest(session_key), used_at=None, expires_at__gt=now
    )
    if mine.update(used_at=now) != 1:
        return None
    session = ConsoleSession.objects.select_related("user", "vm__host").get(ticket_digest=digest(ticket))
    if session.user_id != person.pk or not _may_use(person, {session.vm_id}):
        return None
    return session


def _may_use(person: User, vm_keys: set[int]) -> set[int]:
    """Those of the VMs whose console this person may use."""
    return set(visible(person, Vm.objects.filter(pk__in=vm_keys), "vms.console").values_list("pk", flat=True))


class Opened(NamedTuple):
    """What was true when a console was opened, and must stay so."""

    session_key: str
    role: str


def still_allowed(opened: dict[int, Opened]) -> set[int]:
    """Those of the open consoles (by primary key) that may stay: not after logging out, with another role, or without
    the right to this VM. Some queries for all of them together."""
    people = people_of({one.session_key for one in opened.values()})
    by_link = dict(ConsoleSession.objects.filter(pk__in=opened, link__isnull=False).values_list("pk", "link"))
    good = links.good(by_link.values()) if by_link else set()
    vms: dict[User, dict[int, int]] = {}
    for pk, user_id, vm_id in ConsoleSession.objects.filter(pk__in=opened).values_list("pk", "user_id", "vm_id"):
        person = people.get(opened[pk].session_key)
        if person is not None and person.pk == user_id and role_of(person) == opened[pk].role:
            vms.setdefault(person, {})[pk] = vm_id
    kept = {pk for pk, link in by_link.items() if link in good}
    for person, wanted in vms.items():
        usable = _may_use(person, set(wanted.values()))
        kept |= {pk for pk, vm_id in wanted.items() if vm_id in usable}
    return kept


def note_open(pk: int, *, sent: int, received: int, closed: bool = False) -> None:
    """Say that a session is open, or over, and how many bytes went each way."""
    now = timezone.now()
    more = {"closed_at": now} if closed else {}
    with transaction.atomic():
        rows = ConsoleSession.objects.filter(pk=pk)
        rows.update(seen_at=now, bytes_to_guest=sent, bytes_from_guest=received, **more)
        if closed:
            console_record.closed(rows.select_related("user", "vm", "link__made_by"))


def forget_unused() -> int:
    """Remove tickets nobody used; used ones stay as the audit of their session."""
    stale = ConsoleSession.objects.filter(used_at=None, expires_at__lt=timezone.now() - timedelta(hours=1))
    return stale.delete()[0]


def close_abandoned() -> int:
    """Close the rows of sessions whose console process was killed in the middle, with the time it last told of them.

    One that was only silent, because the database was away, writes its true end itself.
    """
    last = Coalesce("seen_at", "used_at")
    rows = ConsoleSession.objects.filter(closed_at=None).exclude(used_at=None).annotate(last=last)
    dead = list(rows.filter(last__lt=timezone.now() - DEAD_AFTER).values_list("pk", flat=True))
    if not dead:
        return 0
    with transaction.atomic():
        mine = ConsoleSession.objects.filter(pk__in=dead, closed_at=None)
        closed = mine.update(closed_at=last)
        console_record.closed(
            ConsoleSession.objects.filter(pk__in=dead).select_related("user", "vm", "link__made_by"), abandoned=True
        )
    return closed
