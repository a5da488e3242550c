"""Logging in and out, changes of people and tokens: who, from where, with which result, and no secret."""

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from access.models import ApiToken, Group, Membership, Role, User
from audit.models import Entry

pytestmark = pytest.mark.django_db
HERE = "10.1.1.1"
RIGHT = "correct horse 7"


@pytest.fixture(autouse=True)
def _from_here(admin: User) -> None:
    Entry.objects.all().delete()


def told(*names: str) -> list[tuple[Any, ...]]:
    return list(Entry.objects.order_by("id").values_list(*(names or ("action", "who", "result", "address"))))


def log_in(password: str = RIGHT, name: str = "ada") -> Client:
    client = Client(REMOTE_ADDR=HERE)
    client.post("/login", {"username": name, "password": password})
    return client


def test_it_works(admin: User) -> None:
    log_in().post("/logout")
    assert told() == [("access.login", "ada", "ok", HERE), ("access.logout", "ada", "ok", HERE)]
    entry = Entry.objects.first()
    assert entry is not None
    assert (entry.kind, entry.key, entry.person_key, entry.way) == ("person", str(admin.pk), admin.pk, "page")


def test_failing_and_being_locked_out() -> None:
    for _turn in range(8):
        log_in("wrong")
    assert [row[:3] for row in told()] == [("access.login", "ada", "failed")] * 5 + [
        ("access.locked_out", "ada", "refused")
    ]


def test_a_name_that_nobody_has_is_not_kept() -> None:
    """It may be a password in the wrong field."""
    for name in ("my secret word", "a\x00b", "x" * 5000):
        log_in("wrong", name)
    assert {(row[0], row[1], row[2]) for row in told("who", "label", "reason")} == {("", "", "Nobody has this name.")}
    assert "my secret word" not in str(list(Entry.objects.values()))


def test_a_guess_of_the_password_on_an_open_page() -> None:
    client = log_in()
    new = {"new_password1": "battery staple", "new_password2": "battery staple"}
    client.post("/profile/password", {"old_password": "guess", **new})
    client.post("/profile/password", {"old_password": RIGHT, **new})
    assert [row[:3] for row in told()][1:] == [
        ("access.password_asked", "ada", "failed"),
        ("access.password", "ada", "ok"),
    ]
    for word in ("guess", RIGHT, "battery staple"):
        assert word not in str(list(Entry.objects.values()))


def test_tokens() -> None:
    client = log_in()
    made = client.post("/profile/tokens/new", {"name": "backup", "days": "30", "may_change": "yes"})
    client.post(f"/profile/tokens/{ApiToken.objects.get().pk}/revoke")
    assert told("action", "label", "address")[1:] == [
        ("access.token_made", "backup (ada)", HERE),
        ("access.token_removed", "backup (ada)", HERE),
    ]
    assert made.context["secret"] not in str(list(Entry.objects.values()))


def test_by_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("token", "create", "--user", "ada", "--name", "backup")
    call_command("token", "revoke", str(ApiToken.objects.get().pk))
    assert [row[0] for row in told("action")] == ["access.token_made", "access.token_removed"]
    assert {row[0] for row in told("way")} == {"command"}
    assert "" not in {row[0] for row in told("who")}


def test_a_token_from_a_new_address() -> None:
    token, secret = ApiToken.make(User.objects.get(), "script")
    Entry.objects.all().delete()
    for address in (HERE, HERE, "10.2.2.2", HERE):
        answer = Client(REMOTE_ADDR=address).get("/api/v1/vms/", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 200
    assert told("action", "who", "address", "key") == [
        ("access.token_used", "ada", HERE, str(token.pk)),
        ("access.token_used", "ada", "10.2.2.2", str(token.pk)),
    ]


def test_what_changed_is_told_before_and_after(operator: User) -> None:
    Entry.objects.all().delete()
    operator.role, operator.theme = Role.ADMINISTRATOR, "dark"
    operator.save()
    operator.theme = "light"
    operator.save(update_fields=["theme"])
    operator.delete()
    assert told("action", "label", "details") == [
        ("access.person_changed", "oskar", {"role": ["operator", "administrator"]}),
        ("access.person_removed", "oskar", {}),
    ]


def test_groups_and_all_that_goes_with_them(lab_user: User) -> None:
    Entry.objects.all().delete()
    group = Group.objects.create(name="physics 1")
    Membership.objects.create(group=group, user=lab_user, is_manager=True)
    group.delete()
    assert [row[0] for row in told("label")] == ["physics 1", *["lena in physics 1"] * 2, "physics 1"]
    assert {row[0] for row in told("action")} == {
        f"access.{kind}_{verb}" for kind in ("group", "membership") for verb in ("made", "removed")
    }


def test_what_is_forbidden_is_an_entry(lab_user: User) -> None:
    client = Client(REMOTE_ADDR=HERE)
    client.force_login(lab_user)
    Entry.objects.all().delete()
    strict = Client(REMOTE_ADDR=HERE, enforce_csrf_checks=True)
    strict.force_login(lab_user)
    Entry.objects.all().delete()
    assert strict.post("/profile/theme", {"theme": "dark"}).status_code == 403
    assert told("action", "who", "result", "text") == [
        ("access.forbidden", "lena", "refused", "Tried POST /profile/theme")
    ]
    assert Client().post("/profile/theme").status_code == 302
    assert Entry.objects.count() == 1
