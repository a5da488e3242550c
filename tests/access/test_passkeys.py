"""Passkeys, with a real browser and its virtual authenticator: set up, used after the password, asked for again."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Browser, Page, sync_playwright

from access.models import User
from tests.factories import make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
PASSWORD = "correct horse 7"
USER = {"protocol": "ctap2", "transport": "internal", "hasUserVerification": True, "isUserVerified": True}


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright's loop runs in this thread
    with (
        sync_playwright() as playwright,
        contextlib.closing(
            playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        ) as one,
    ):
        yield one


@pytest.fixture
def page(browser: Browser, live_server: Any) -> Page:
    """With an authenticator that says yes."""
    page = browser.new_page(base_url=live_server.url.replace("127.0.0.1", "localhost"))
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": {**USER, "automaticPresenceSimulation": True}})
    return page


def log_in(page: Page) -> None:
    page.goto("/login")
    page.fill("[name=username]", "anna")
    page.fill("[name=password]", PASSWORD)
    page.click("button:has-text('Log in')")


def test_it_works(page: Page) -> None:
    make_user("anna", password=PASSWORD)
    problems: list[str] = []
    page.on("console", lambda one: problems.append(one.text) if one.type == "error" else None)
    log_in(page)
    page.goto("/profile/second-factor/passkeys/add")
    page.fill("[name=name]", "My laptop")
    page.click("button:has-text('Add it')")
    page.wait_for_url("**/profile/second-factor/codes")
    assert page.locator(".factor-codes code").count() == 10
    assert User.objects.get().has_second_factor
    assert str(Authenticator.objects.get(type="webauthn")) == "My laptop"
    page.context.clear_cookies()
    log_in(page)
    page.wait_for_url("**/login/second-factor")
    page.click("button:has-text('Use a passkey')")
    page.wait_for_url(lambda url: url.endswith("/"))
    page.goto("/profile/second-factor")
    assert "My laptop" in page.content()
    page.goto("/profile/ask-again/passkey?next=/profile/second-factor")
    page.click("button:has-text('Use a passkey')")
    page.wait_for_url("**/profile/second-factor")
    page.click(".factor-list a:has-text('Remove')")
    page.click("button:has-text('Remove')")
    page.wait_for_url("**/profile/second-factor")
    assert not Authenticator.objects.exists()
    assert not User.objects.get().has_second_factor
    assert [text for text in problems if "favicon" not in text and "WebSocket" not in text] == []


def test_rubbish_in_place_of_a_passkey(client: Any) -> None:
    """Counts as a wrong code does."""
    make_user("anna", password=PASSWORD)
    anna = User.objects.get()
    Authenticator.objects.create(user=anna, type="totp", data={"secret": "x"})
    client.post("/login", {"username": "anna", "password": PASSWORD})
    for text in ("", "{}", "[]", "null", '{"id": 1}'):
        answer = client.post("/login/second-factor", {"credential": text})
        assert answer.status_code in {200, 429}, text
        assert client.get("/profile").status_code == 302


def test_rubbish_in_place_of_a_new_one(client: Any) -> None:
    make_user("anna", password=PASSWORD)
    client.post("/login", {"username": "anna", "password": PASSWORD})
    client.get("/profile/second-factor/passkeys/add")
    for text in ("", "{}", "[]", "null", '{"id": 1}', '{"id": "eA", "rawId": "eA", "response": {}}'):
        answer = client.post("/profile/second-factor/passkeys/add", {"name": "x", "credential": text})
        assert answer.status_code == 200, text
    assert not Authenticator.objects.exists()
