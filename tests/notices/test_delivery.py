"""Mails as they leave: caught by a real server, once each, never lost."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import OperationalError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from access.models import User
from notices import delivery, tasks
from notices.models import Notice
from notices.tell import tell
from tests import mailkit
from tests.mailkit import Mailbox, html_of, text_of

pytestmark = pytest.mark.django_db
HOSTILE = 'Ready <img src=x onerror=alert(1)>\r\nBcc: all@example.org & "more"'


def all_due() -> None:
    """As if the time had come for everything that waits."""
    Notice.objects.exclude(mail_due_at=None).update(mail_due_at=timezone.now())


def test_it_works(mailbox: Mailbox, lena: User) -> None:
    tell(
        "request",
        [lena],
        title="web-01 is ready – have fun",
        lines=["ssh user@10.0.0.7", "Until Friday"],
        url="/vms/x/",
    )
    assert delivery.send_due() == 1
    assert delivery.send_due() == 0
    mail = mailbox.mails[0]
    assert mail["Subject"] == "web-01 is ready – have fun"
    assert mail["From"] == "Drover <drover@example.org>"
    assert mail["To"] == "Léna Brücke <lena@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    for part in (text_of(mail), html_of(mail)):
        assert "web-01 is ready – have fun" in part
        assert "ssh user@10.0.0.7" in part
        assert "https://drover.example/vms/x/" in part
        assert "https://drover.example/notices/choices" in part
    row = Notice.objects.get()
    assert row.mailed_at is not None
    assert (row.mail_due_at, row.mail_error) == (None, "")


def test_hostile_words_are_words(mailbox: Mailbox, lena: User) -> None:
    lena.first_name = "Léna\r\nBcc: all@example.org"
    lena.save()
    tell("request", [lena], title=HOSTILE, lines=["<script>alert(1)</script>"])
    assert delivery.send_due() == 1
    mail = mailbox.mails[0]
    assert mailbox.receivers == ["lena@example.org"]
    assert mail["Bcc"] is None
    assert mail["Subject"] == 'Ready <img src=x onerror=alert(1)> Bcc: all@example.org & "more"'
    assert "&lt;script&gt;alert(1)" in html_of(mail)
    assert "<script" not in html_of(mail)
    assert "<img" not in html_of(mail)
    assert "<script>alert(1)</script>" in text_of(mail)


def test_rows_that_no_header_can_hold_hold_up_nobody(mailbox: Mailbox, lena: User, operator: User) -> None:
    operator.email = "oskar@example.org\r\nBcc: all@example.org"
    operator.save()
    tell("request", [operator, lena], title="Ready")
    Notice.objects.create(user=lena, kind="request", title="a\nb", mail_due_at=timezone.now())
    assert delivery.send_due() == 1
    assert mailbox.receivers == ["lena@example.org"]
    lost = Notice.objects.filter(mailed_at=None)
    assert [row.mail_error.partition(":")[0] for row in lost] == ["It can't be written"] * 2
    assert not Notice.objects.exclude(mail_due_at=None).exists()


def test_starttls_and_login(configured: Any, certificate: Path, lena: User) -> None:
    configured.EMAIL_USE_TLS, configured.EMAIL_CA_FILE = True, str(certificate)
    configured.EMAIL_HOST_USER, configured.EMAIL_HOST_PASSWORD = mailkit.NAME, mailkit.PASSWORD
    box = Mailbox(configured.EMAIL_PORT)
    server = mailkit.controller(box, certificate)
    server.start()
    try:
        tell("request", [lena], title="Ready")
        assert delivery.send_due() == 1
        assert (box.logins, box.encrypted) == ([mailkit.NAME], [True])
        configured.EMAIL_HOST_PASSWORD = "another"
        tell("request", [lena], title="Ready again")
        assert delivery.send_due() == 0
        assert "refuses the login: 535" in Notice.objects.get(mailed_at=None).mail_error
        configured.EMAIL_CA_FILE = ""  # the system's authorities do not know it
        all_due()
        assert delivery.send_due() == 0
        assert "CERTIFICATE_VERIFY_FAILED" in Notice.objects.get(mailed_at=None).mail_error
    finally:
        server.stop()
    assert len(box.mails) == 1


def test_tls_from_the_start(configured: Any, certificate: Path) -> None:
    configured.EMAIL_USE_SSL, configured.EMAIL_CA_FILE = True, str(certificate)
    box = Mailbox(configured.EMAIL_PORT)
    server = mailkit.controller(box, certificate, is_tls=True)
    server.start()
    try:
        call_command("mail_test", "ada@example.org")
    finally:
        server.stop()
    assert box.receivers == ["ada@example.org"]  # it understands nothing but TLS
    assert "Drover can send mails" in text_of(box.mails[0])


def test_a_server_that_is_away_costs_time_and_no_mail(configured: Any, lena: User, operator: User) -> None:
    operator.email = "oskar@example.org"
    operator.save()
    tell("request", [lena, operator], title="Ready")
    assert delivery.send_due() == 0
    first = list(Notice.objects.all())
    assert [row.mail_tries for row in first] == [1, 1]  # one try of the server is one for both
    assert "does not answer" in first[0].mail_error
    assert delivery.waiting_since() is None  # once is no news
    assert delivery.send_due() == 0
    assert [row.mail_tries for row in Notice.objects.all()] == [1, 1]  # not before its time
    all_due()
    delivery.send_due()
    later = Notice.objects.first()
    assert later is not None
    assert later.mail_due_at is not None
    assert timedelta(seconds=50) < later.mail_due_at - timezone.now() <= timedelta(seconds=60)  # twice as long
    why = delivery.waiting_since()
    assert why is not None
    assert "does not answer" in why[0]
    box = Mailbox(configured.EMAIL_PORT)
    server = mailkit.controller(box)
    server.start()
    try:
        all_due()
        assert delivery.send_due() == 2
    finally:
        server.stop()
    assert box.receivers == ["lena@example.org", "oskar@example.org"]
    assert delivery.waiting_since() is None


def test_waits_grow_to_a_quarter_of_an_hour() -> None:
    waits = [delivery.wait_after(tries).total_seconds() for tries in (0, 1, 2, 3, 4, 5, 200)]
    assert waits == [30, 60, 120, 240, 480, 900, 900]


def test_what_the_server_refuses(mailbox: Mailbox, lena: User, operator: User) -> None:
    operator.email = "oskar@example.org"
    operator.save()
    mailbox.refuse = {"lena@example.org": "550 no such person here", "oskar@example.org": "451 come back later"}
    tell("request", [lena, operator], title="Ready")
    assert delivery.send_due() == 0
    never, later = Notice.objects.order_by("user__username")
    assert (never.mail_due_at, never.mail_error) == (None, "550 no such person here")
    assert (later.mail_due_at is not None, later.mail_error) == (True, "451 come back later")
    mailbox.refuse = {}
    all_due()
    assert delivery.send_due() == 1
    assert mailbox.receivers == ["oskar@example.org"]


def test_after_a_day_it_is_given_up(mailbox: Mailbox, lena: User) -> None:
    tell("request", [lena], title="Ready")
    Notice.objects.update(created_at=timezone.now() - timedelta(hours=25), mail_error="mail.example does not answer")
    assert delivery.send_due() == 0
    row = Notice.objects.get()
    assert (row.mail_due_at, row.mail_error) == (None, "mail.example does not answer")
    assert not mailbox.mails


def test_who_has_left_meanwhile_gets_none(mailbox: Mailbox, lena: User) -> None:
    tell("request", [lena], title="Ready")
    User.objects.filter(pk=lena.pk).update(is_active=False)
    assert delivery.send_due() == 0
    assert not mailbox.mails


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_mail_once(mailbox: Mailbox, lena: User) -> None:
    for number in range(12):
        tell("request", [lena], title=f"Ready {number}")
    start, sent = threading.Barrier(3), []

    def work() -> None:
        start.wait()
        sent.append(delivery.send_due())
        connection.close()

    workers = [threading.Thread(target=work) for _number in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert sum(sent) == 12
    assert sorted(str(mail["Subject"]) for mail in mailbox.mails) == sorted(f"Ready {number}" for number in range(12))
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 12


def test_a_killed_worker_loses_none(mailbox: Mailbox, lena: User) -> None:
    tell("request", [lena], title="Ready")
    taken = next(delivery._taken())  # and then it is killed
    assert delivery.send_due() == 0
    Notice.objects.filter(pk=taken.pk).update(mail_due_at=timezone.now())  # ten minutes later
    assert delivery.send_due() == 1


def test_mails_leave_after_the_commit(
    mailbox: Mailbox, lena: User, monkeypatch: Any, django_capture_on_commit_callbacks: Any
) -> None:
    monkeypatch.setattr(tasks.send, "apply_async", lambda **_more: tasks.send())
    with django_capture_on_commit_callbacks(execute=True):
        tell("request", [lena], title="Ready")
        assert not mailbox.mails
    assert len(mailbox.mails) == 1


def test_without_a_broker_they_wait_for_the_clock(
    mailbox: Mailbox, lena: User, monkeypatch: Any, django_capture_on_commit_callbacks: Any
) -> None:
    def away(**_more: Any) -> None:
        raise OperationalError("Redis does not answer")

    monkeypatch.setattr(tasks.send, "apply_async", away)
    with django_capture_on_commit_callbacks(execute=True):
        tell("request", [lena], title="Ready")
    tasks.send()
    assert len(mailbox.mails) == 1


def test_the_command_says_what_is_wrong(configured: Any) -> None:
    with pytest.raises(CommandError, match="does not answer"):
        call_command("mail_test", "ada@example.org")
    configured.EMAIL_HOST = ""
    with pytest.raises(CommandError, match="DROVER_SMTP_URL is empty"):
        call_command("mail_test", "ada@example.org")
