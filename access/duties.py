"""What somebody must do before anything else: pages lead there, the API and the live socket wait for it.

It holds for web sessions. API tokens were made by a person who had nothing left to do, and stay as they are.
"""

from typing import NamedTuple

from django.urls import reverse
from django.utils.translation import gettext as _

from access.models import User
from ui.text import Text

# These work all the same: leaving, and what any page loads.
ALWAYS = frozenset({"access:logout", "access:theme", "cluster:healthz", "cluster:jsi18n"})


class Duty(NamedTuple):
    page: str  # name of its address
    allowed: frozenset[str]  # the other addresses it takes
    words: Text


def duty_of(user: User) -> Duty | None:
    """The first one. Costs no query."""
    if user.must_change_password and user.has_usable_password():
        return Duty("access:password", frozenset(), _("Change the password you were given first."))
    return None


def has_none(user: User) -> bool:
    return duty_of(user) is None


def may_open(duty: Duty, name: str) -> bool:
    return name in ALWAYS or name == duty.page or name in duty.allowed


def page_of(duty: Duty) -> str:
    return reverse(duty.page)
