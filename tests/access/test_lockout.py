"""Guessing passwords: stopped per person and address, said beside the form, and telling nobody who exists."""

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.utils import timezone

from access.models import ApiToken, User

pytestmark = pytest.mark.django_db
RIGHT = "correct horse 7"
LOCKED = "Too many failed attempts with this name from your address. Try again in 15 minutes."
HERE, THERE = "10.1.1.1", "10.2.2.2"


def log_in(password: str, *, name: str = "ada", address: str = HERE, **more: Any) -> Any:
    return Client(REMOTE_ADDR=address, **more).post("/login", {"username": name, "password": password})


def fail(times: int, **more: Any) -> Any:
    for _turn in range(times):
        answer = log_in("wrong", **more)
    return answer


def test_it_works(admin: User) -> None:
    answer = fail(4)
    assert answer.status_code == 200
    assert "username or the password is not right" in answer.content.decode()
    answer = fail(1)
    assert answer.status_code == 429
    assert LOCKED in answer.content.decode()
    assert 'name="password"' in answer.content.decode()
    assert LOCKED in log_in(RIGHT).content.decode()


def test_not_from_elsewhere_and_not_for_others(admin: User, operator: User) -> None:
    fail(6)
    assert log_in(RIGHT, address=THERE).status_code == 302
    assert log_in(RIGHT, name="oskar").status_code == 302
    assert log_in(RIGHT).status_code == 429


def test_it_ends_and_trying_on_does_not_prolong_it(admin: User) -> None:
    fail(5)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=14))
    fail(3)
    assert log_in(RIGHT).status_code == 429
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert log_in(RIGHT).status_code == 302


def test_a_login_forgets_what_failed_before(admin: User) -> None:
    fail(4)
    assert log_in(RIGHT).status_code == 302
    assert fail(4).status_code == 200


def test_another_browser_or_a_made_up_address_is_no_way_round(admin: User) -> None:
    for turn in range(5):
        log_in(
            "wrong", HTTP_USER_AGENT=f"robot {turn}", HTTP_X_FORWARDED_FOR=f"10.9.9.{turn}", HTTP_X_REAL_IP="10.8.8.8"
        )
    assert log_in(RIGHT).status_code == 429


def test_who_does_not_exist_is_locked_out_alike(admin: User) -> None:
    for name in ("ada", "nobody"):
        pages = [log_in("wrong", name=name) for _turn in range(6)]
        assert [page.status_code for page in pages] == [200] * 4 + [429] * 2
        assert LOCKED in pages[-1].content.decode()


def test_an_open_page_is_no_way_to_guess(admin_client: Client) -> None:
    new = {"new_password1": "battery staple", "new_password2": "battery staple"}
    for turn in range(6):
        answer = admin_client.post("/profile/password", {"old_password": f"guess {turn}", **new})
    assert answer.status_code == 429
    assert LOCKED in answer.content.decode()
    assert admin_client.post("/profile/password", {"old_password": RIGHT, **new}).status_code == 429
    AccessAttempt.objects.all().delete()
    assert admin_client.post("/profile/password", {"old_password": RIGHT, **new}).status_code == 302


def test_limits_are_settings(admin: User, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT, settings.AXES_COOLOFF_TIME = 2, timedelta(minutes=1)
    assert "Try again in 1 minute." in fail(2).content.decode()


def test_no_password_is_kept(admin: User) -> None:
    log_in("my secret guess")
    for value in AccessAttempt.objects.values_list("get_data", "post_data", "username"):
        assert "my secret guess" not in str(value)


def test_all_bad_tokens_get_the_same_answer(admin: User, lab_user: User) -> None:
    _old, expired = ApiToken.make(admin, "old", timezone.now() - timedelta(seconds=1))
    revoked, gone = ApiToken.make(admin, "gone")
    revoked.delete()
    _off, disabled = ApiToken.make(lab_user, "off")
    User.objects.filter(pk=lab_user.pk).update(is_active=False)
    answers = set()
    for secret in ("", "x", "drover_" + "x" * 43, expired, gone, disabled, "x" * 5000):
        answer = Client().get("/api/v1/vms/", headers={"Authorization": f"Bearer {secret}"})
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert not AccessAttempt.objects.exists()
