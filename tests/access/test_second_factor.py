"""A second factor after the password: app, recovery codes; required by role; asked again before it is changed."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from axes.models import AccessAttempt
from django.core.cache import cache
from django.test import Client

from access.models import RequiredFactor, Role, User
from access.sessions import people_of
from audit.models import Entry
from tests.factories import give, make_user

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse 7"
OWN = "/profile/second-factor"
STEP = "/login/second-factor"


@pytest.fixture(autouse=True)
def _no_used_codes() -> None:
    cache.clear()


@pytest.fixture
def anna(db: None) -> User:
    return make_user("anna", password=PASSWORD)


def log_in(name: str = "anna", **more: Any) -> tuple[Client, Any]:
    client = Client(**more)
    return client, client.post("/login", {"username": name, "password": PASSWORD})


def code_of(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def set_up(client: Client) -> tuple[str, list[str]]:
    """The app's key, and the recovery codes as they are shown."""
    page = client.get(f"{OWN}/app").content.decode()
    found = re.search(r"<code>([A-Z2-7]{32})</code>", page)
    assert found, page
    answer = client.post(f"{OWN}/app", {"code": code_of(found[1])})
    assert answer.headers["Location"] == f"{OWN}/codes"
    shown = client.get(f"{OWN}/codes").content.decode()
    return found[1], re.findall(r"<code>(\d{8})</code>", shown)


@pytest.fixture
def secret(anna: User) -> str:
    return set_up(log_in()[0])[0]


def test_it_works(anna: User) -> None:
    client, _answer = log_in()
    secret, codes = set_up(client)
    assert len(codes) == 10
    anna.refresh_from_db()
    assert anna.has_second_factor
    client, answer = log_in()
    assert answer.headers["Location"] == STEP
    assert client.get("/profile").status_code == 302
    assert "Second factor" in client.get(STEP).content.decode()
    assert client.post(STEP, {"code": code_of(secret)}).headers["Location"] == "/"
    assert client.get("/profile").status_code == 200
    last = Entry.objects.filter(action="access.login").order_by("-id")[0]
    assert last.details == {"way": "password", "second_factor": "totp"}
    assert Entry.objects.filter(action="access.factor_added", who="anna").exists()


def test_neither_the_api_nor_a_socket_is_open_before_it(secret: str) -> None:
    client, _answer = log_in()
    assert client.get("/api/v1/vms/").status_code == 401
    assert people_of({client.session.session_key or ""}) == {}


def test_the_step_is_nothing_without_the_password(secret: str) -> None:
    assert Client().get(STEP).headers["Location"] == "/login"
    assert Client().post(STEP, {"code": code_of(secret)}).headers["Location"] == "/login"


def test_where_one_wanted_to_go(secret: str) -> None:
    client = Client()
    client.post("/login", {"username": "anna", "password": PASSWORD, "next": "/jobs/"})
    assert client.post(STEP, {"code": code_of(secret)}).headers["Location"] == "/jobs/"


def test_a_code_works_once(secret: str) -> None:
    code = code_of(secret)
    assert log_in()[0].post(STEP, {"code": code}).status_code == 302
    again = log_in()[0].post(STEP, {"code": code})
    assert again.status_code == 200
    assert "Incorrect code" in again.content.decode()


def test_recovery_codes_work_once_each_and_end_with_new_ones(anna: User) -> None:
    client, _answer = log_in()
    _secret, codes = set_up(client)
    for code, status in ((codes[0], 302), (codes[0], 200), (codes[1], 302)):
        assert log_in()[0].post(STEP, {"code": code}).status_code == status
    assert "8 recovery codes left" in client.get(OWN).content.decode()
    assert "not shown again" not in client.get(f"{OWN}/codes").content.decode()
    assert client.post(f"{OWN}/codes/new").headers["Location"] == f"{OWN}/codes"
    assert "not shown again" in client.get(f"{OWN}/codes").content.decode()
    AccessAttempt.objects.all().delete()
    assert log_in()[0].post(STEP, {"code": codes[2]}).status_code == 200
    assert Entry.objects.filter(action="access.factor_added", details={"kind": "recovery_codes"}).count() == 2


def test_guessing_codes_locks_out_as_guessing_passwords_does(secret: str) -> None:
    here = {"REMOTE_ADDR": "10.1.1.1"}
    client, _answer = log_in(**here)
    for _turn in range(5):
        answer = client.post(STEP, {"code": "000000"})
    assert answer.status_code == 429
    assert "Too many failed attempts" in answer.content.decode()
    assert client.post(STEP, {"code": code_of(secret)}).status_code == 429
    assert client.get("/profile").status_code == 302
    assert log_in(**here)[1].status_code == 429
    assert log_in(REMOTE_ADDR="10.2.2.2")[1].headers["Location"] == STEP
    failed = Entry.objects.filter(action="access.login", result="failed", who="anna", reason="Wrong second factor.")
    assert failed.count() == 5
    assert Entry.objects.filter(action="access.locked_out").count() == 1


def test_the_right_password_does_not_begin_the_count_anew(secret: str) -> None:
    here = {"REMOTE_ADDR": "10.1.1.1"}
    for _turn in range(4):
        log_in(**here)[0].post(STEP, {"code": "000000"})
    assert log_in(**here)[0].post(STEP, {"code": "000000"}).status_code == 429


def test_wrong_passwords_and_codes_count_together(secret: str) -> None:
    for _turn in range(3):
        Client().post("/login", {"username": "anna", "password": "wrong"})
    client, _answer = log_in()
    assert client.post(STEP, {"code": "1"}).status_code == 200
    assert client.post(STEP, {"code": "2"}).status_code == 429


def make_stale(client: Client) -> None:
    session = client.session
    session["account_authentication_methods"] = [
        {**one, "at": one["at"] - 3600} for one in session["account_authentication_methods"]
    ]
    session.save()


def test_it_is_asked_again_before_a_change(secret: str) -> None:
    client, _answer = log_in()
    client.post(STEP, {"code": code_of(secret)})
    make_stale(client)
    for page in ("app/remove", "codes", "codes/new", "passkeys/add", "passkeys/1/remove"):
        for answer in (client.get(f"{OWN}/{page}"), client.post(f"{OWN}/{page}")):
            assert answer.headers["Location"].startswith("/profile/ask-again?next="), page
    assert Authenticator.objects.filter(type="totp").exists()
    url = f"/profile/ask-again?next={OWN}/app/remove"
    assert client.post(url, {"password": "wrong"}).status_code == 200
    assert client.post(url, {"password": PASSWORD}).headers["Location"] == f"{OWN}/app/remove"
    assert client.post(f"{OWN}/app/remove").status_code == 302
    assert not Authenticator.objects.exists()
    assert not User.objects.get(username="anna").has_second_factor
    assert Entry.objects.filter(action="access.factor_removed", who="anna").exists()
    assert Entry.objects.filter(action="access.password_asked", result="failed").count() == 1


def test_asking_again_is_no_way_to_guess(secret: str) -> None:
    client, _answer = log_in()
    client.post(STEP, {"code": code_of(secret)})
    make_stale(client)
    for _turn in range(3):
        client.post("/profile/ask-again", {"password": "guess"})
    client.post("/profile/ask-again/code", {"code": "1"})
    assert client.post("/profile/ask-again/code", {"code": "2"}).status_code == 429
    assert client.post("/profile/ask-again", {"password": PASSWORD}).status_code == 429


def test_a_wrong_code_sets_nothing_up(anna: User) -> None:
    client, _answer = log_in()
    client.get(f"{OWN}/app")
    assert client.post(f"{OWN}/app", {"code": "000000"}).status_code == 200
    assert not Authenticator.objects.exists()


def test_secrets_are_not_kept_in_clear(secret: str) -> None:
    assert secret not in str(list(Authenticator.objects.values()))


def test_a_new_key_of_signing_is_no_end(settings: Any, secret: str) -> None:
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    settings.SECRET_KEY_FALLBACKS = [old]
    assert log_in()[0].post(STEP, {"code": code_of(secret)}).status_code == 302


@pytest.fixture
def required(db: None) -> None:
    RequiredFactor.objects.create(role=Role.OPERATOR)


def test_a_role_can_need_it(required: None, operator: User) -> None:
    client, _answer = log_in("oskar")
    assert client.get("/").headers["Location"] == OWN
    assert client.get("/api/v1/vms/").status_code == 403
    assert client.post("/profile/tokens/new", {"name": "x", "days": "30"}).headers["Location"] == OWN
    assert people_of({client.session.session_key or ""}) == {}
    assert "Your role needs one" in client.get(OWN).content.decode()
    set_up(client)
    assert client.get("/").status_code == 200
    assert people_of({client.session.session_key or ""})


def test_others_do_not_need_it(required: None, anna: User) -> None:
    assert log_in()[0].get("/my-vms/").status_code == 200


def test_a_role_by_a_grant_on_everything_needs_it_too(required: None, anna: User) -> None:
    give(anna, Role.OPERATOR)
    assert log_in()[0].get("/").headers["Location"] == OWN


def test_without_it_there_is_no_way_back(required: None, operator: User) -> None:
    """Who removes the last one is led to set up another."""
    client, _answer = log_in("oskar")
    set_up(client)
    client.post(f"{OWN}/app/remove")
    assert client.get("/").headers["Location"] == OWN


def test_administrators_say_which_roles(admin_client: Client, operator: User) -> None:
    url = "/people/second-factor"
    assert "Require a second factor" in admin_client.get(url).content.decode()
    admin_client.post(url, {"roles": ["operator", "auditor"]})
    assert set(RequiredFactor.objects.values_list("role", flat=True)) == {"operator", "auditor"}
    assert log_in("oskar")[0].get("/").headers["Location"] == OWN
    assert admin_client.post(url, {"roles": ["king"]}).status_code == 422
    admin_client.post(url, {})
    assert not RequiredFactor.objects.exists()
    assert log_in("oskar")[0].get("/").status_code == 200
    assert Entry.objects.filter(action__startswith="access.required-factor_").count() == 4


def test_an_administrator_helps_who_lost_it(admin_client: Client, secret: str, anna: User) -> None:
    url = f"/people/{anna.pk}/second-factor/remove"
    assert url in admin_client.get(anna.get_absolute_url()).content.decode()
    admin_client.post(url)
    assert not Authenticator.objects.exists()
    assert log_in()[1].headers["Location"] == "/"
    assert set(Entry.objects.filter(action="access.factor_removed").values_list("who", flat=True)) == {"ada"}


def test_who_administers_for_a_time_takes_none_of_administrators(client: Client, admin: User) -> None:
    set_up(log_in("ada")[0])
    carl = make_user("carl")
    give(carl, Role.ADMINISTRATOR)
    client.force_login(carl)
    client.post(f"/people/{admin.pk}/second-factor/remove")
    assert Authenticator.objects.filter(user=admin).exists()
