"""What somebody must do before anything else: pages lead there, the API and the live socket wait for it.

It holds for web sessions. API tokens were made by a person who had nothing left to do, and stay as they are.
"""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models.signals import post_delete, post_save
from django.urls import reverse
from django.utils.translation import gettext as _

from access.models import RequiredFactor, Role, User
from access.rights import rights_of
from ui.text import Text

# These work all the same: leaving, and what any page loads.
ALWAYS = frozenset({"access:logout", "access:theme", "cluster:healthz", "cluster:jsi18n"})


class Duty(NamedTuple):
    page: str  # name of its address
    allowed: frozenset[str]  # the other addresses it takes
    words: Text


FACTOR_PAGES = frozenset({"mfa_activate_totp", "mfa_add_webauthn", "account_reauthenticate"})


class Rules:
    """The roles that need a second factor, asked for once in some seconds: each page would ask otherwise."""

    KEEP_S = 3.0

    def __init__(self) -> None:
        self._known: tuple[float, frozenset[str]] | None = None

    def roles(self) -> frozenset[str]:
        known, now = self._known, time.monotonic()
        if known is None or now - known[0] > self.KEEP_S:
            known = self._known = now, frozenset(RequiredFactor.objects.values_list("role", flat=True))
        return known[1]

    def forget(self, **_more: Any) -> None:
        """In this process a changed rule counts at once."""
        self._known = None


rules = Rules()
post_save.connect(rules.forget, sender=RequiredFactor, dispatch_uid="access.duties")
post_delete.connect(rules.forget, sender=RequiredFactor, dispatch_uid="access.duties")


def required_roles() -> frozenset[str]:
    return rules.roles()


def roles_of(user: User) -> set[str]:
    """The own role, and what was given on everything."""
    given = {one.role for one in rights_of(user).given if one.vm is None and one.group is None and one.pool is None}
    return given | {Role.ADMINISTRATOR.value if user.is_superuser else user.role}


def duty_of(user: User, required: Iterable[str] | None = None) -> Duty | None:
    """The first one. required: the roles that need a second factor, if they are known already."""
    if user.must_change_password and user.has_usable_password():
        return Duty("access:password", frozenset(), _("Change the password you were given first."))
    if not user.has_second_factor:
        roles = required_roles() if required is None else frozenset(required)
        if roles and roles & roles_of(user):
            return Duty("mfa_index", FACTOR_PAGES, _("Set up a second factor first."))
    return None


def has_none(user: User, required: Iterable[str] | None = None) -> bool:
    return duty_of(user, required) is None


def may_open(duty: Duty, name: str) -> bool:
    return name in ALWAYS or name == duty.page or name in duty.allowed


def page_of(duty: Duty) -> str:
    return reverse(duty.page)
