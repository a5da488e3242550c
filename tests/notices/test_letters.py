"""Invitations by mail: the link gets there, once, and lies nowhere in clear."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import Invitation, User
from cluster.attention import attention
from notices import delivery
from notices.models import Letter, Notice
from notices.tell import tell
from tests.mailkit import Mailbox, html_of, text_of

pytestmark = pytest.mark.django_db
NEW, ALL = "/people/invitations/new", "/people/invitations/"
WISH = {"username": "anna", "email": "anna@example.org", "role": "user", "days": "7"}


def test_it_works(admin: User, admin_client: Client, mailbox: Mailbox, client: Client) -> None:
    assert "Send the link there" in admin_client.get(NEW).content.decode()
    page = admin_client.post(NEW, {**WISH, "send": "on"}).content.decode()
    assert "on its way to anna@example.org" in page
    letter = Letter.objects.get()
    assert "/join/" not in letter.sealed_path
    assert "mail waits" in admin_client.get(ALL).content.decode()
    assert delivery.send_due() == 1
    assert mailbox.receivers == ["anna@example.org"]
    mail = mailbox.mails[0]
    assert mail["Subject"] == "ada invites you to Drover"
    found = re.search(r"https://drover\.example(/\S+)", text_of(mail))
    assert found is not None
    assert found.group(0) in html_of(mail)
    assert "Your name for logging in is anna." in text_of(mail)
    assert "anna" in Client().get(found.group(1)).content.decode()
    letter.refresh_from_db()
    assert letter.sealed_path == ""
    assert "mailed" in admin_client.get(ALL).content.decode()


def test_only_if_it_is_wished(admin_client: Client, mailbox: Mailbox) -> None:
    admin_client.post(NEW, WISH)
    assert Invitation.objects.exists()
    assert not Letter.objects.exists()


def test_where_to(admin_client: Client, mailbox: Mailbox) -> None:
    answer = admin_client.post(NEW, {**WISH, "email": "", "send": "on"})
    assert answer.status_code == 422
    assert "Where to?" in answer.content.decode()
    assert not Invitation.objects.exists()


def test_without_a_server_it_is_not_offered(admin_client: Client) -> None:
    page = admin_client.get(NEW).content.decode()
    assert "Send the link there" not in page
    assert "Nothing is sent there." in page
    wish = {"email": "anna@example.org", "send": True}
    answer = admin_client.post("/api/v1/invitations", wish, content_type="application/json")
    assert answer.status_code == 422
    assert not Invitation.objects.exists()


def test_by_api(admin_client: Client, mailbox: Mailbox) -> None:
    wish = {"email": "anna@example.org", "send": True}
    answer = admin_client.post("/api/v1/invitations", wish, content_type="application/json")
    assert answer.status_code == 201
    assert delivery.send_due() == 1
    assert answer.json()["link"].partition("/join/")[2] in text_of(mailbox.mails[0])


def test_what_is_withdrawn_or_over_is_not_sent(admin_client: Client, mailbox: Mailbox) -> None:
    admin_client.post(NEW, {**WISH, "send": "on"})
    admin_client.post(f"{ALL}{Invitation.objects.get().pk}/withdraw")
    admin_client.post(NEW, {**WISH, "send": "on"})
    Invitation.objects.update(expires_at=timezone.now())
    assert delivery.send_due() == 0
    assert not mailbox.mails
    assert Letter.objects.get().sealed_path == ""


def test_a_new_secret_key_gives_it_up(admin_client: Client, mailbox: Mailbox, settings: Any) -> None:
    admin_client.post(NEW, {**WISH, "send": "on"})
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", []
    assert delivery.send_due() == 0
    assert "secret key has changed" in Letter.objects.get().mail_error


def test_administrators_are_warned(admin: User, lab_user: User, configured: Any, client: Client) -> None:
    User.objects.update(email="someone@example.org")
    admin.refresh_from_db()
    tell("request", [lab_user], title="Ready")
    assert not [item for item in attention(admin) if item.icon == "mail-off"]
    for _try in range(2):
        Notice.objects.update(mail_due_at=timezone.now())
        delivery.send_due()
    found = [item for item in attention(admin) if item.icon == "mail-off"]
    assert found[0].title == "Mails can't be sent"
    assert "does not answer" in found[0].why
    assert not [item for item in attention(lab_user) if item.icon == "mail-off"]
    client.force_login(admin)
    assert "Mails to everybody wait: 127.0.0.1:" in client.get(found[0].url).content.decode()
    client.force_login(lab_user)
    assert "Mails to everybody" not in client.get(found[0].url).content.decode()


def test_notices_by_api(lab_user: User, operator: User, client: Client) -> None:
    tell("request", [lab_user], title="one", lines=["a", "b"], url="/vms/")
    tell("request", [lab_user, operator], title="two")
    client.force_login(lab_user)
    found = client.get("/api/v1/notices").json()
    rows = found["items"] if isinstance(found, dict) else found
    assert [row["title"] for row in rows] == ["two", "one"]
    assert rows[1]["lines"] == ["a", "b"]
    assert client.post(f"/api/v1/notices/{rows[1]['id']}/read").status_code == 204
    assert len(client.get("/api/v1/notices?unread=true").json()["items"]) == 1
    other = Notice.objects.get(user=operator)
    assert client.post(f"/api/v1/notices/{other.pk}/read").status_code == 404
    assert client.post("/api/v1/notices/read").status_code == 204
    assert {row.user.username for row in Notice.objects.unread()} == {"oskar"}
