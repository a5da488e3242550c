"""Groups and what is granted to people and groups: what administrators do, by page and by API."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import Grant, Group, Membership, Role, User
from access.people import Denied, by_names, is_administrator, may_give_role
from access.roles import ON_GROUP, ON_POOL, ON_VM, PERMISSIONS
from access.rules import can

MAX_ROSTER = 2000
HEADS = {"username", "user", "user name", "name", "login", "account"}
SCOPES = {"on_vm": ON_VM, "on_group": ON_GROUP, "on_pool": ON_POOL}

GRANT_PARTS = ("to_user", "to_group", "on_vm", "on_group", "on_pool", "given_by")


class Added(NamedTuple):
    new: list[User]
    there: list[User]
    unknown: list[str]


def roster(text: str) -> list[str]:
    """Usernames out of a list with one a line, or out of CSV: its column "username", else its first. Raises Denied."""
    lines = [line for line in text.replace("\0", "").splitlines() if line.strip()]
    if not lines:
        return []
    mark = max(",;\t", key=lines[0].count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=mark)]
    except csv.Error as error:
        raise Denied(_("This is no list of names: %(why)s.") % {"why": error}, "names") from error
    heads = [cell.lower() for cell in rows[0]]
    has_head = any(cell in HEADS for cell in heads)
    column = next((place for place, cell in enumerate(heads) if cell in HEADS), 0)
    if not has_head and len(lines) == 1:
        names = rows[0]  # "anna, bert, carl"
    else:
        names = [row[column] for row in rows[has_head:] if len(row) > column]
    found = list(dict.fromkeys(name for name in names if name))
    if len(found) > MAX_ROSTER:
        raise Denied(_("At most %(n)s people at once.") % {"n": MAX_ROSTER}, "names")
    return found


def may_fill(actor: User, group: Group, people: Iterable[User]) -> None:
    """Who administers only for a time raises neither themselves nor others by a group."""
    if is_administrator(actor):
        return
    if any(person.pk == actor.pk for person in people):
        raise Denied(_("You administer for a time only, and can't put yourself into a group."), "names")
    if group.grants.in_force().filter(role=Role.ADMINISTRATOR).exists():
        raise Denied(_("This group's people are administrators: only an administrator by role adds to them."), "names")


@transaction.atomic
def put_in(actor: User, group: Group, names: Iterable[str], *, is_manager: bool = False) -> Added:
    """People into a group, or its members among them up to managers. Unknown names are told, not made."""
    people, unknown = by_names(names)
    may_fill(actor, group, people)
    there = {one.user_id: one for one in group.memberships.select_related("user")}
    new = [person for person in people if person.pk not in there]
    for person in new:
        Membership.objects.create(group=group, user=person, is_manager=is_manager)
    old = [there[person.pk] for person in people if person.pk in there]
    for one in old:
        if is_manager and not one.is_manager:
            one.is_manager = True
            one.save(update_fields=["is_manager"])
    return Added(new, [one.user for one in old], unknown)


def set_manager(actor: User, membership: Membership, *, is_manager: bool) -> None:
    may_fill(actor, membership.group, [membership.user])
    membership.is_manager = is_manager
    membership.save(update_fields=["is_manager"])


def target_of(given: dict[str, Any]) -> tuple[str, Model | None]:
    """The one column of a grant's target that is set, and its row; ("", None) is everything. Raises Denied."""
    found = [(column, given[column]) for column in SCOPES if given.get(column) is not None]
    if len(found) > 1:
        raise Denied(_("One thing at a time."), found[1][0])
    return found[0] if found else ("", None)


@transaction.atomic
def give(actor: User, role: str, until: datetime | None = None, **given: Any) -> Grant:
    """given: to_user or to_group; on_vm, on_group, on_pool or none of them. What is given already gets the new end."""
    column, target = target_of(given)
    to_user, to_group = given.get("to_user"), given.get("to_group")
    if (to_user is None) == (to_group is None):
        raise Denied(_("Choose a person, or a group."), "to_user")
    may_give_role(actor, role)
    _not_to_oneself(actor, to_user, to_group)
    if column and not PERMISSIONS[role] & SCOPES[column]:
        raise Denied(_("This role means nothing there."), "role")
    if until is not None and until <= timezone.now():
        raise Denied(_("This is over already."), "until")
    same = {name: given.get(name) for name in ("to_user", "to_group", *SCOPES)}
    grant = Grant.objects.filter(role=role, **same).first()
    if grant is None:
        return Grant.objects.create(role=role, until=until, given_by=actor, **same)
    grant.until, grant.given_by, grant.given_at = until, actor, timezone.now()
    grant.save(update_fields=["until", "given_by", "given_at"])
    return grant


def _not_to_oneself(actor: User, to_user: User | None, to_group: Group | None) -> None:
    if is_administrator(actor):
        return
    if to_user is not None and to_user.pk == actor.pk:
        raise Denied(_("Nobody gives themselves rights: another administrator can."), "to_user")
    if to_group is not None and to_group.memberships.filter(user=actor).exists():
        raise Denied(_("You are in this group: another administrator can."), "to_group")


def grants_on(reader: User, thing: Model) -> dict[str, Any]:
    """What the card of grants on the page of a VM or pool needs; nothing for who may not read it."""
    if not can(reader, "access.view"):
        return {}
    grants = thing.grants.select_related(*GRANT_PARTS)  # type: ignore[attr-defined]
    return {"grants": grants, "may_give": can(reader, "access.manage"), "sees_grants": True}


def take_away(actor: User, grant: Grant) -> None:
    may_give_role(actor, grant.role, "")
    grant.delete()
