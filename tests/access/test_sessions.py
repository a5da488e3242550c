"""Where somebody is logged in, and ending one of it from elsewhere."""

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from access.models import User, WebSession, browser_of
from access.sessions import open_of, people_of
from audit.models import Entry
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse 7"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def anna(db: None) -> User:
    return make_user("anna", password=PASSWORD)


def log_in(**more: Any) -> Client:
    client = Client(**more)
    client.post("/login", {"username": "anna", "password": PASSWORD})
    return client


def url_of(client: Client) -> str:
    return f"/profile/sessions/{WebSession.objects.get(session_key=client.session.session_key).pk}/end"


def test_it_works(anna: User) -> None:
    here, there = log_in(), log_in(HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="10.7.7.7")
    page = here.get("/profile").content.decode()
    assert "Firefox, Linux" in page
    assert "10.7.7.7" in page
    key = there.session.session_key or ""
    assert people_of({key})
    assert here.post(url_of(there)).headers["Location"] == "/profile"
    assert there.get("/profile").status_code == 302
    assert people_of({key}) == {}
    assert here.get("/profile").status_code == 200
    entry = Entry.objects.get(action="access.session_ended")
    assert (entry.who, entry.details) == ("anna", {"from": "10.7.7.7", "browser": "Firefox, Linux"})


def test_all_others(anna: User) -> None:
    here, *others = (log_in() for _turn in range(3))
    here.post("/profile/sessions/end-others")
    assert here.get("/profile").status_code == 200
    assert [one.get("/profile").status_code for one in others] == [302, 302]
    assert Session.objects.count() == 1


def test_nobody_ends_those_of_others(anna: User, admin_client: Client) -> None:
    client = log_in()
    assert admin_client.post(url_of(client)).status_code == 404
    admin_client.post("/profile/sessions/end-others")
    assert client.get("/profile").status_code == 200


def test_the_own_one_is_ended_by_logging_out(anna: User) -> None:
    client = log_in()
    url = url_of(client)
    assert url not in client.get("/profile").content.decode()
    assert client.post(url).status_code == 404


def test_what_is_over_is_not_shown(anna: User) -> None:
    """Logged out, run out, or begun with another password."""
    out, old, here = log_in(), log_in(), log_in()
    out.post("/logout")
    Session.objects.filter(session_key=old.session.session_key).update(expire_date="2020-01-01T00:00Z")
    assert [one.session_key for one in open_of(anna)] == [here.session.session_key]
    anna.set_password("battery horse 8")
    anna.save()
    assert open_of(anna) == []
    assert Client().post("/login", {"username": "anna", "password": "battery horse 8"}).status_code == 302
    assert WebSession.objects.count() == 1


def test_it_goes_on_after_changing_the_password_in_it(anna: User) -> None:
    here, there = log_in(), log_in()
    new = {"new_password1": "battery horse 8", "new_password2": "battery horse 8"}
    assert here.post("/profile/password", {"old_password": PASSWORD, **new}).status_code == 302
    anna.refresh_from_db()
    assert [one.session_key for one in open_of(anna)] == [here.session.session_key]
    assert there.get("/profile").status_code == 302


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (FIREFOX, "Firefox, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130 Safari/537 Edg/130", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18 Safari/604", "Safari, iPhone"),
        ("curl/8.0", "curl/8.0"),
        ("", ""),
        ("x" * 900, "x" * 40),
    ],
)
def test_browsers(agent: str, said: str) -> None:
    assert browser_of(agent) == said


def test_a_strange_browser_logs_in_too(anna: User) -> None:
    assert log_in(HTTP_USER_AGENT="\x00" + "ü" * 900).get("/profile").status_code == 200
