"""Telling people: who hears of it, in which way, and once."""

from typing import Any

import pytest
from django.db import transaction

from access.models import User
from notices.models import Choice, Notice
from notices.tell import tell

pytestmark = pytest.mark.django_db


def test_it_works(lab_user: User, operator: User) -> None:
    tell("request", [lab_user, operator, lab_user], title="Web is ready", lines=["web-01", "web-02"], url="/vms/")
    rows = Notice.objects.order_by("user__username")
    assert [row.user.username for row in rows] == ["lena", "oskar"]
    assert (rows[0].title, rows[0].lines, rows[0].url) == ("Web is ready", ["web-01", "web-02"], "/vms/")
    assert rows[0].mail_due_at is None  # there is no mail server


def test_a_key_tells_once(lab_user: User, operator: User) -> None:
    tell("lease", [lab_user], title="Ends soon", key="lease-1-7")
    tell("lease", [lab_user, operator], title="Ends soon, again", key="lease-1-7")
    assert [row.title for row in Notice.objects.filter(user=lab_user)] == ["Ends soon"]
    assert Notice.objects.filter(user=operator).count() == 1
    tell("share", [lab_user], title="Without a key")
    tell("share", [lab_user], title="Without a key")
    assert Notice.objects.filter(user=lab_user).count() == 3


def test_choices_are_kept_to(lab_user: User, operator: User, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    User.objects.update(email="someone@example.org")
    Choice.objects.create(user=lab_user, kind="request", app=False, mail=True)
    Choice.objects.create(user=operator, kind="request", app=False, mail=False)
    Choice.objects.create(user=operator, kind="lease", app=True, mail=False)
    people = list(User.objects.all())
    tell("request", people, title="one")
    tell("lease", people, title="two")
    found = {(row.user.username, row.title): (row.in_app, row.mail_due_at is not None) for row in Notice.objects.all()}
    assert found == {("lena", "one"): (False, True), ("lena", "two"): (True, True), ("oskar", "two"): (True, False)}


def test_who_has_left_is_not_told(lab_user: User) -> None:
    lab_user.is_active = False
    tell("request", [lab_user], title="Ready")
    assert not Notice.objects.exists()


def test_what_is_undone_tells_nobody(lab_user: User) -> None:
    with transaction.atomic():
        tell("request", [lab_user], title="Ready")
        transaction.set_rollback(True)
    assert not Notice.objects.exists()


def test_a_title_is_one_line(lab_user: User) -> None:
    tell("request", [lab_user], title="Ready\r\nBcc: all@example.org\x00\u2028x" + "y" * 300, lines=["a\nb"])
    row = Notice.objects.get()
    assert row.title.startswith("Ready Bcc: all@example.org x")
    assert len(row.title) == 200
    assert row.lines == ["a b"]


@pytest.mark.parametrize("url", ["https://elsewhere.example/", "//elsewhere.example/", "vms/", "/\\elsewhere.example"])
def test_links_stay_inside(lab_user: User, url: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        tell("request", [lab_user], title="Ready", url=url)


def test_unknown_kinds_are_mistakes(lab_user: User) -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        tell("weather", [lab_user], title="Rain")
