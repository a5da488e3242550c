"""Pools that fill up, as their hosts report it: who hears of it, and how often."""

from typing import Any

import pytest

from access.models import Role, User
from hosts.models import Host
from notices.models import Notice
from storage.models import Pool
from tests.factories import make_host, make_user
from tests.storage.test_sync import DIR, facts, look

pytestmark = pytest.mark.django_db


def seen(host: Host, percent: int, name: str = "shared", **more: Any) -> None:
    look(host, facts(name, capacity_bytes=100, allocation_bytes=percent, available_bytes=100 - percent, **more))


def titles() -> list[str]:
    return list(Notice.objects.order_by("pk").values_list("title", flat=True))


@pytest.fixture
def host(admin: User) -> Host:
    make_user("otto", Role.OPERATOR)
    make_user("gone", Role.ADMINISTRATOR, is_active=False)
    return make_host()


def test_at_each_level_once(host: Host, admin: User) -> None:
    for percent in (79, 80, 85, 80, 90, 97):
        seen(host, percent)
    assert titles() == [
        "The pool shared is 80 % full",
        "The pool shared is 90 % full",
    ]
    told = Notice.objects.first()
    assert told is not None
    assert (told.user, told.url) == (admin, Pool.objects.get().get_absolute_url())
    assert Notice.objects.values("user").distinct().count() == 1, "nobody who can do nothing about it"


def test_a_second_time_only_after_it_was_clearly_below(host: Host) -> None:
    for percent in (91, 88, 92, 86):
        seen(host, percent)
    assert len(titles()) == 1
    for percent in (84, 91, 70, 81):
        seen(host, percent)
    assert len(titles()) == 3


def test_a_shared_pool_is_told_once_for_all_hosts(host: Host) -> None:
    other = make_host("vmhost2")
    for one in (host, other, host, other):
        seen(one, 95)
    assert len(titles()) == 1


def test_of_others_each_host_has_its_own(host: Host) -> None:
    for one in (host, make_host("vmhost2")):
        seen(one, 82, "plain", xml=DIR)
    assert titles() == [f"The pool plain on {name} is 82 % full" for name in (host.name, "vmhost2")]


def test_what_is_not_known_says_nothing(host: Host) -> None:
    look(host, facts(capacity_bytes=None, allocation_bytes=None, available_bytes=None, is_active=False))
    assert titles() == []
