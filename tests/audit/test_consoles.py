"""Opened and closed consoles, with what went each way."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import User
from audit.models import Entry
from tests.factories import make_host, make_vm
from vms import console_record, consoles
from vms.models import ConsoleSession, Vm

pytestmark = pytest.mark.django_db


@pytest.fixture
def vm() -> Vm:
    return make_vm(make_host())


@pytest.fixture
def session(admin: User, vm: Vm) -> ConsoleSession:
    client = Client(REMOTE_ADDR="10.1.1.1")
    client.force_login(admin)
    answer = client.post(reverse("vms:console_ticket", args=[vm.uuid]) + "?kind=serial")
    ticket = str(answer.json()["path"]).partition("ticket=")[2]
    found = consoles.redeem(ticket, client.session.session_key or "")
    assert found is not None
    Entry.objects.all().delete()
    return found


def test_it_works(session: ConsoleSession, vm: Vm) -> None:
    console_record.opened(session)
    consoles.note_open(session.pk, sent=10, received=20)
    consoles.note_open(session.pk, sent=17, received=3000, closed=True)
    first, last = Entry.objects.order_by("id")
    for entry in (first, last):
        assert (entry.who, entry.address, entry.way, entry.kind, entry.key) == (
            "ada",
            "10.1.1.1",
            "console",
            "vm",
            str(vm.uuid),
        )
    assert (first.action, first.text, first.result) == ("vms.console_opened", "Open console: web-07", "ok")
    assert (last.action, last.result) == ("vms.console_closed", "ok")
    assert (last.details["bytes_to_guest"], last.details["bytes_from_guest"]) == (17, 3000)


def test_one_that_the_host_did_not_give(session: ConsoleSession) -> None:
    console_record.opened(session, reason="Its host does not answer.")
    entry = Entry.objects.get()
    assert (entry.result, entry.reason) == ("failed", "Its host does not answer.")


def test_one_whose_process_was_killed(session: ConsoleSession) -> None:
    consoles.note_open(session.pk, sent=5, received=6)
    assert consoles.close_abandoned() == 0
    ConsoleSession.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
    assert consoles.close_abandoned() == 1
    assert consoles.close_abandoned() == 0
    entry = Entry.objects.get()
    assert (entry.action, entry.details["bytes_to_guest"]) == ("vms.console_closed", 5)
    assert "was stopped" in entry.reason
