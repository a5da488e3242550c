"""Links that make one person each: single use, with an end, withdrawn with the rights of whoever made them."""

import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from access import groups
from access.models import ApiToken, Group, Invitation, Role, User
from access.people import Denied, may_give_role, unsaved
from access.rules import can, is_somebody
from access.signals import invited


@transaction.atomic
def make(actor: User, values: dict[str, Any], days: int, *, send: bool = False) -> tuple[Invitation, str]:
    """A new invitation and its secret, which is not kept anywhere; with `send` its link goes to the address by mail.

    values: username, email, role, group. Raises Denied.
    """
    may_give_role(actor, values.get("role", Role.USER))
    if values.get("username"):
        unsaved({"username": values["username"]})
    _may_bring_into(actor, values.get("group"))
    secret = secrets.token_urlsafe(32)
    until = timezone.now() + timedelta(days=days)
    made = Invitation.objects.create(digest=ApiToken.digest_of(secret), made_by=actor, expires_at=until, **values)
    if send:
        invited.send(sender=Invitation, invitation=made, path=reverse("access:join", args=[secret]))
    return made, secret


def _may_bring_into(actor: User, group: Group | None) -> None:
    if group is not None:
        groups.may_fill(actor, group, [])


def find(secret: str) -> Invitation | None:
    """The invitation of this secret, if somebody may still come by it: whoever made it must still be able to."""
    rows = Invitation.objects.select_related("made_by", "group")
    found = rows.filter(digest=ApiToken.digest_of(secret)).first()
    if found is None or not found.is_open:
        return None
    host = found.made_by
    if host is None or not is_somebody(host) or not can(host, "access.manage"):
        return None
    try:
        may_give_role(host, found.role)
        _may_bring_into(host, found.group)
    except Denied:
        return None
    return found


@transaction.atomic
def accept(invitation: Invitation, values: dict[str, Any], password: str) -> User:
    """The person who comes by it. values: username (if it names none), first_name, last_name. Raises Denied."""
    now = timezone.now()
    rows = Invitation.objects.filter(pk=invitation.pk, used_at=None, expires_at__gt=now)
    if rows.update(used_at=now) != 1:
        raise Denied(_("This invitation was used in the meantime."))
    fixed = {"email": invitation.email, "role": invitation.role}
    fixed |= {"username": invitation.username} if invitation.username else {}
    person = unsaved({**values, **fixed})
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise Denied(" ".join(error.messages), "password") from error
    person.set_password(password)
    person.save(force_insert=True)
    if invitation.group is not None:
        invitation.group.memberships.create(user=person)
    Invitation.objects.filter(pk=invitation.pk).update(used_by=person)
    return person
