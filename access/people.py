"""Adding and changing people: what administrators do, by page and by API. Nobody raises themselves.

Whoever administers for a time only (by a grant) can't make administrators, change them, or take their passwords: what
was given with an end would otherwise have none.
"""

import secrets
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from access.models import Role, User
from access.rules import role_of
from ui.text import Text

SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another
FIELDS = ("username", "first_name", "last_name", "email", "role")


class Denied(Exception):
    """Why something can't be done to people or their rights, beside which field."""

    def __init__(self, message: Text, field: str = "") -> None:
        super().__init__(str(message))
        self.message, self.field = message, field


def is_administrator(person: User) -> bool:
    """By their own role: not only for a time."""
    return role_of(person) == Role.ADMINISTRATOR


def administrators() -> Any:
    """The active ones, held until the transaction ends: two can't take each other's role away at the same time."""
    found = User.objects.filter(Q(role=Role.ADMINISTRATOR) | Q(is_superuser=True), is_active=True)
    return found.order_by("pk").select_for_update()


def may_touch(actor: User, person: User) -> None:
    if is_administrator(person) and not is_administrator(actor):
        raise Denied(_("Only an administrator by role may change an administrator."))


def may_give_role(actor: User, role: str, field: str = "role") -> None:
    if role == Role.ADMINISTRATOR and not is_administrator(actor):
        raise Denied(_("Only an administrator by role may make administrators."), field)


def stays_one_without(person: User) -> None:
    """Raise if this is the last active administrator. In a transaction."""
    if is_administrator(person) and person.is_active and not [one for one in administrators() if one.pk != person.pk]:
        raise Denied(_("This is the last administrator: make another one first."), "role")


def new_password() -> str:
    return "-".join("".join(secrets.choice(SIGNS) for _sign in range(4)) for _group in range(4))


def _set_password(person: User, password: str) -> str:
    """Set this one, or a random one; returns what to show."""
    if password:
        try:
            validate_password(password, person)
        except ValidationError as error:
            raise Denied(" ".join(error.messages), "password") from error
    chosen = password or new_password()
    person.set_password(chosen)
    return chosen


def _put(person: User, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(person, name, value)
    try:
        person.full_clean(exclude=["password"])
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Denied(" ".join(messages), field if field in FIELDS else "") from error


def unsaved(values: dict[str, Any]) -> User:
    """A person who could be saved. values: of FIELDS. Raises Denied."""
    person = User()
    _put(person, values)
    if User.objects.filter(username__iexact=person.username).exists():
        raise Denied(_("Somebody has this name already."), "username")
    return person


@transaction.atomic
def add(actor: User, values: dict[str, Any], password: str = "") -> tuple[User, str]:
    """A new person, and the first password, which is kept only as a hash. values: of FIELDS. Raises Denied."""
    may_give_role(actor, values.get("role", Role.USER))
    person = unsaved(values)
    shown = _set_password(person, password)
    person.must_change_password = True
    person.save(force_insert=True)
    return person, shown


@transaction.atomic
def change(actor: User, person: User, values: dict[str, Any]) -> None:
    """values: of FIELDS, but for the username, which is what their work is recorded under. Raises Denied."""
    may_touch(actor, person)
    role, now = values.get("role", role_of(person)), role_of(person)
    if role != now:
        if actor.pk == person.pk:
            raise Denied(_("Nobody changes their own role: another administrator can."), "role")
        may_give_role(actor, role)
        stays_one_without(person)
        person.is_superuser = False  # the role alone says it from now on
    names = [name for name in FIELDS[1:] if name in values]
    _put(person, {name: values[name] for name in names})
    if names:
        person.save(update_fields=[*names, "is_superuser"])


@transaction.atomic
def set_password(actor: User, person: User, password: str = "") -> str:
    """A new password for somebody else, which they must change; ends their web sessions. Returns what to show.

    Raises Denied.
    """
    if actor.pk == person.pk:
        raise Denied(_("Your own password you change on your profile."))
    may_touch(actor, person)
    shown = _set_password(person, password)
    person.must_change_password = True
    person.save(update_fields=["password", "must_change_password"])
    return shown


@transaction.atomic
def set_active(actor: User, person: User, *, is_active: bool) -> None:
    """Who is not active can't log in, their tokens and open pages end. Raises Denied."""
    may_touch(actor, person)
    if actor.pk == person.pk:
        raise Denied(_("Nobody locks themselves out: another administrator can."))
    if not is_active:
        stays_one_without(person)
    person.is_active = is_active
    person.save(update_fields=["is_active"])


def owned(person: User) -> int:
    return int(person.vms.count())


@transaction.atomic
def delete(actor: User, person: User) -> None:
    """Raises Denied: for who owns VMs, and for whom the record names: it must not lose who did what."""
    may_touch(actor, person)
    if actor.pk == person.pk:
        raise Denied(_("Nobody deletes themselves: another administrator can."))
    stays_one_without(person)
    if number := owned(person):
        text = ngettext("They own %(n)s VM: hand it over first.", "They own %(n)s VMs: hand them over first.", number)
        raise Denied(text % {"n": number})
    if has_record(person):
        why = _("Jobs, consoles or requests of theirs are in the record, which must name them: deactivate them.")
        raise Denied(why)
    person.delete()


def has_record(person: User) -> bool:
    consoles = person.consolesession_set.exclude(used_at=None)
    return bool(person.jobs.exists() or consoles.exists() or person.requests.exists())


def by_names(names: Iterable[str]) -> tuple[list[User], list[str]]:
    """The active people of these usernames, in their order, and the names nobody has."""
    wanted = list(dict.fromkeys(names))
    known = {person.username: person for person in User.objects.filter(username__in=wanted, is_active=True)}
    return [known[name] for name in wanted if name in known], [name for name in wanted if name not in known]
