"""What a directory or a single sign-on says of somebody, and what that makes them here: role and groups."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from access.models import Group, Membership, Role, User
from access.people import Denied, stays_one_without

RANK = [Role.ADMINISTRATOR, Role.OPERATOR, Role.AUDITOR, Role.APPROVER, Role.USER]  # the first that fits counts


class Mapping(NamedTuple):
    """Ours -> theirs. Without roles they say nothing of the role; without groups nothing of the groups."""

    roles: list[tuple[str, str]]
    groups: list[tuple[str, str]]


def of_oidc() -> Mapping:
    return Mapping(settings.OIDC_ROLES, settings.OIDC_GROUPS)


def of_directory() -> Mapping:
    return Mapping(settings.LDAP_ROLES, settings.LDAP_GROUPS)


def check_settings() -> None:
    """Stops the start for a role that is none."""
    for name in ("OIDC_ROLES", "LDAP_ROLES"):
        for role, _theirs in getattr(settings, name):
            if role not in Role.values:
                raise ImproperlyConfigured(f"DROVER_{name}: {role!r} is no role; there are {', '.join(Role.values)}.")


def names_in(claims: Any, path: str) -> list[str]:
    """The names at a dotted path ("realm_access.roles"): a list of texts, or one text with spaces between them."""
    found = claims
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, str):
        return found.split()
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def plain(name: str) -> str:
    """As two names are compared: a directory writes cn=a, ou=b and CN=a,OU=b for the same."""
    return ",".join(part.strip() for part in name.casefold().split(","))


@transaction.atomic
def apply(person: User, names: Iterable[str], mapping: Mapping) -> None:
    """Give somebody the role and the groups that these names stand for. At each login: the other side decides."""
    theirs = {plain(name) for name in names}
    if mapping.roles:
        fits = {role for role, name in mapping.roles if plain(name) in theirs}
        _set_role(person, next((role for role in RANK if role in fits), Role.USER))
    for name in dict.fromkeys(ours for ours, _theirs in mapping.groups):
        is_in = any(plain(other) in theirs for ours, other in mapping.groups if ours == name)
        _set_member(person, name, is_in=is_in)


def _set_role(person: User, role: str) -> None:
    if person.role == role:
        return
    try:
        stays_one_without(person)
    except Denied:
        return  # the last administrator stays one
    person.role = role
    person.save(update_fields=["role"])


def _set_member(person: User, name: str, *, is_in: bool) -> None:
    if not is_in:
        for one in Membership.objects.filter(group__name=name, user=person):
            one.delete()
        return
    group, _is_new = Group.objects.get_or_create(name=name)
    Membership.objects.get_or_create(group=group, user=person)
