"""Console tickets: who gets one, and that it works once, soon, and for that web session only."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import Role, User
from hosts.states import HostState
from tests.factories import make_host, make_vm
from vms import consoles
from vms.consoles import Opened
from vms.models import ConsoleSession, Vm
from vms.states import VmState
from vms.tasks import close_abandoned_consoles

pytestmark = pytest.mark.django_db


@pytest.fixture
def vm() -> Vm:
    return make_vm(make_host())


def ticket_of(client: Client, vm: Vm, kind: str = "vnc") -> str:
    answer = client.post(reverse("vms:console_ticket", args=[vm.uuid]) + f"?kind={kind}")
    assert answer.status_code == 200, answer.content
    return str(answer.json()["path"]).partition("ticket=")[2]


def test_it_works(admin_client: Client, vm: Vm) -> None:
    ticket = ticket_of(admin_client, vm, "serial")
    session = consoles.redeem(ticket, admin_client.session.session_key or "")
    assert session is not None
    assert session.user is not None
    assert (session.vm, session.kind, session.user.username) == (vm, "serial", "ada")


def test_once(admin_client: Client, vm: Vm) -> None:
    ticket, key = ticket_of(admin_client, vm), admin_client.session.session_key or ""
    assert consoles.redeem(ticket, key) is not None
    assert consoles.redeem(ticket, key) is None


def test_not_after_thirty_seconds(admin_client: Client, vm: Vm) -> None:
    ticket = ticket_of(admin_client, vm)
    ConsoleSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert consoles.redeem(ticket, admin_client.session.session_key or "") is None


def test_not_for_another_web_session(admin_client: Client, vm: Vm) -> None:
    ticket = ticket_of(admin_client, vm)
    assert consoles.redeem(ticket, "somebody-elses-session") is None
    assert ConsoleSession.objects.get().used_at is None


def test_not_kept_in_clear(admin_client: Client, vm: Vm) -> None:
    ticket = ticket_of(admin_client, vm)
    row = ConsoleSession.objects.get()
    assert ticket not in {row.ticket_digest, row.session_digest}
    assert row.expires_at - row.created_at <= timedelta(seconds=31)


def test_not_when_the_right_is_gone_meanwhile(client: Client, lab_user: User, vm: Vm) -> None:
    Vm.objects.update(owner=lab_user)
    client.force_login(lab_user)
    ticket = ticket_of(client, vm)
    Vm.objects.update(owner=None)
    assert consoles.redeem(ticket, client.session.session_key or "") is None


def test_a_stranger_gets_404(client: Client, lab_user: User, vm: Vm) -> None:
    client.force_login(lab_user)
    assert client.post(reverse("vms:console_ticket", args=[vm.uuid])).status_code == 404
    assert client.get(reverse("vms:console", args=[vm.uuid])).status_code == 404


def test_nobody_without_login(client: Client, vm: Vm) -> None:
    assert client.post(reverse("vms:console_ticket", args=[vm.uuid])).status_code == 302
    assert not ConsoleSession.objects.exists()


def test_by_post_only_and_with_csrf(admin: User, vm: Vm) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    assert client.get(reverse("vms:console_ticket", args=[vm.uuid])).status_code == 405
    assert client.post(reverse("vms:console_ticket", args=[vm.uuid])).status_code == 403


def test_a_vm_that_is_off_has_none(admin_client: Client, vm: Vm) -> None:
    Vm.objects.update(observed_state=VmState.OFF)
    answer = admin_client.post(reverse("vms:console_ticket", args=[vm.uuid]))
    assert answer.status_code == 409
    assert answer.json()["error"] == "web-07 is off."


def test_a_host_that_does_not_answer(admin_client: Client, vm: Vm) -> None:
    assert vm.host is not None
    type(vm.host).objects.update(observed_state=HostState.UNREACHABLE)
    assert admin_client.post(reverse("vms:console_ticket", args=[vm.uuid])).status_code == 409


def test_page_has_no_inline_script(admin_client: Client, vm: Vm) -> None:
    answer = admin_client.get(reverse("vms:console", args=[vm.uuid]))
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert b"<script>" not in answer.content


def test_unused_tickets_are_forgotten(admin_client: Client, admin: User, vm: Vm) -> None:
    ticket_of(admin_client, vm)
    used = ticket_of(admin_client, vm)
    consoles.redeem(used, admin_client.session.session_key or "")
    ConsoleSession.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert consoles.forget_unused() == 1
    assert ConsoleSession.objects.get().used_at is not None


def test_role_without_console(admin_client: Client, admin: User, vm: Vm) -> None:
    ticket = ticket_of(admin_client, vm)
    User.objects.update(is_active=False, role=Role.USER)
    assert consoles.redeem(ticket, admin_client.session.session_key or "") is None


def test_not_after_logging_out(admin_client: Client, vm: Vm) -> None:
    ticket, key = ticket_of(admin_client, vm), admin_client.session.session_key or ""
    admin_client.post(reverse("access:logout"))
    assert consoles.redeem(ticket, key) is None


def opened(client: Client, vm: Vm) -> tuple[int, Opened]:
    session = consoles.redeem(ticket_of(client, vm), client.session.session_key or "")
    assert session is not None
    assert session.user is not None
    return session.pk, Opened(client.session.session_key or "", session.user.role)


def test_an_open_console_stays_while_nothing_changes(admin_client: Client, lab_user: User, vm: Vm) -> None:
    Vm.objects.update(owner=lab_user)
    other = Client()
    other.force_login(lab_user)
    open_ = dict([opened(admin_client, vm), opened(other, vm), opened(admin_client, vm)])
    assert consoles.still_allowed(open_) == set(open_)
    assert consoles.still_allowed({}) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"is_active": False},
        {"role": Role.OPERATOR},
        {"password": "changed elsewhere"},
    ],
    ids=str,
)
def test_an_open_console_ends(admin_client: Client, lab_user: User, vm: Vm, change: dict[str, Any]) -> None:
    Vm.objects.update(owner=lab_user)
    other = Client()
    other.force_login(lab_user)
    kept, gone = opened(admin_client, vm), opened(other, vm)
    User.objects.filter(pk=lab_user.pk).update(**change)
    assert consoles.still_allowed(dict([kept, gone])) == {kept[0]}


def test_an_open_console_ends_with_logging_out_or_the_vm(client: Client, lab_user: User, vm: Vm) -> None:
    Vm.objects.update(owner=lab_user)
    client.force_login(lab_user)
    pk, one = opened(client, vm)
    Vm.objects.update(owner=None)
    assert consoles.still_allowed({pk: one}) == set()
    Vm.objects.update(owner=lab_user)
    assert consoles.still_allowed({pk: one}) == {pk}
    client.post(reverse("access:logout"))
    assert consoles.still_allowed({pk: one}) == set()


def test_a_ticket_dies_with_the_old_password(admin_client: Client, admin: User, vm: Vm) -> None:
    ticket = ticket_of(admin_client, vm)
    admin.set_password("another horse 8")
    admin.save(update_fields=["password"])
    assert consoles.redeem(ticket, admin_client.session.session_key or "") is None


def test_what_a_killed_process_left_open_is_closed_as_it_was_last_seen(admin_client: Client, vm: Vm) -> None:
    now = timezone.now()
    dead, silent, alive = (opened(admin_client, vm)[0] for _each in range(3))
    ticket_of(admin_client, vm)  # never used: not a session
    rows = ConsoleSession.objects.filter
    rows(pk=dead).update(seen_at=now - timedelta(minutes=5))
    rows(pk=silent).update(used_at=now - timedelta(minutes=7))
    consoles.note_open(alive, sent=5, received=700)
    close_abandoned_consoles()
    assert rows(pk=dead).get().closed_at == now - timedelta(minutes=5)
    assert rows(pk=silent).get().closed_at == now - timedelta(minutes=7)
    found = rows(pk=alive).get()
    assert (found.closed_at, found.bytes_to_guest, found.bytes_from_guest) == (None, 5, 700)
    assert not rows(used_at=None).exclude(closed_at=None).exists()
    consoles.note_open(dead, sent=9, received=9, closed=True)  # it was not dead: its own word counts
    found = rows(pk=dead).get()
    assert found.closed_at is not None
    assert found.closed_at >= now
