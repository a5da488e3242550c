"""Sharing a VM: with people, and by links to its screen that only show it."""

import struct
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access import shares
from access.models import Grant, Role, User
from access.people import Denied
from access.rules import can
from audit.models import Entry
from notices.models import Notice
from tests.api.kit import call
from tests.factories import give, make_host, make_user, make_vm
from ui import counting
from vms import console_record, consoles, links
from vms.models import ConsoleSession, ScreenLink, Vm
from vms.view_only import NotRfb, ViewOnly

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna() -> User:
    return make_user("anna")


@pytest.fixture
def bert() -> User:
    return make_user("bert")


@pytest.fixture
def vm(anna: User) -> Vm:
    return make_vm(make_host(), owner=anna)


def url(name: str, vm: Vm, *args: int) -> str:
    return reverse(f"vms:{name}", args=[vm.uuid, *args])


def again(user: User) -> User:
    return User.objects.get(pk=user.pk)


def test_it_works(client: Client, anna: User, bert: User, vm: Vm) -> None:
    client.force_login(anna)
    assert client.post(url("share", vm), {"person": "bert", "way": "user"}).status_code == 302
    grant = Grant.objects.get()
    assert (grant.to_user, grant.role, grant.is_share, grant.given_by) == (bert, Role.USER, True, anna)
    assert "bert" in client.get(url("shares", vm)).content.decode()
    notice = Notice.objects.get(user=bert)
    assert (notice.title, notice.url) == ("anna shares the VM web-07 with you", vm.get_absolute_url())
    for permission in ("vms.power", "vms.console", "vms.snapshot"):
        assert can(again(bert), permission, vm), permission
    for permission in ("vms.edit", "vms.share", "vms.rebuild", "vms.delete"):
        assert not can(again(bert), permission, vm), permission
    assert client.post(url("end_share", vm, grant.pk)).status_code == 302
    assert not can(again(bert), "vms.view", vm)


def test_console_only(client: Client, anna: User, bert: User, vm: Vm) -> None:
    shares.give(anna, vm, bert, "user")
    shares.give(anna, vm, bert, "console", timezone.now() + timedelta(days=1))  # instead of the other
    bert = again(bert)
    assert can(bert, "vms.console", vm)
    assert not can(bert, "vms.power", vm)
    assert Grant.objects.count() == 1
    Grant.objects.update(until=timezone.now())
    assert not can(again(bert), "vms.view", vm)
    client.force_login(bert)
    assert client.get(vm.get_absolute_url()).status_code == 404


def test_who_may_not_share(client: Client, anna: User, bert: User, vm: Vm) -> None:
    client.force_login(bert)
    assert client.post(url("share", vm), {"person": "anna", "way": "user"}).status_code == 404
    shares.give(anna, vm, bert, "user")
    client.force_login(bert)
    assert client.get(url("shares", vm)).status_code == 403
    assert client.post(url("share", vm), {"person": "carl", "way": "user"}).status_code == 403
    assert client.post(url("make_link", vm), {"days": 1}).status_code == 403
    with pytest.raises(Denied):
        shares.give(again(bert), vm, make_user("carl"), "user")


@pytest.mark.parametrize(
    ("person", "more", "words"),
    [
        ("nobody", {}, "Nobody is called so."),
        ("anna", {}, "They have it already."),
        ("bert", {"way": "operator"}, "Select a valid choice"),
        ("bert", {"until": "2020-01-01"}, "This is over already."),
    ],
)
def test_what_is_refused(client: Client, anna: User, vm: Vm, person: str, more: dict[str, str], words: str) -> None:
    make_user("bert")
    client.force_login(anna)
    answer = client.post(url("share", vm), {"person": person, "way": "user", **more})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Grant.objects.exists()


def test_an_administrators_grant_is_not_the_owners_to_end(client: Client, anna: User, bert: User, vm: Vm) -> None:
    grant = give(bert, Role.USER, vm)
    client.force_login(anna)
    assert "bert" not in client.get(url("shares", vm)).content.decode()
    client.post(url("end_share", vm, grant.pk))
    assert Grant.objects.exists()


def test_by_api(anna: User, bert: User, vm: Vm) -> None:
    made = call(anna, "POST", f"/vms/{vm.uuid}/shares", {"person": "bert", "way": "console"})
    assert (made.status_code, made.json()["person"], made.json()["way"]) == (201, "bert", "console")
    assert Notice.objects.filter(user=bert).count() == 1
    assert len(call(anna, "GET", f"/vms/{vm.uuid}/shares").json()) == 1
    assert call(bert, "GET", f"/vms/{vm.uuid}/shares").status_code == 403
    assert call(anna, "DELETE", f"/vms/{vm.uuid}/shares/{made.json()['id']}").status_code == 204
    assert not Grant.objects.exists()
    link = call(anna, "POST", f"/vms/{vm.uuid}/links", {}).json()
    assert Client().get(link["link"].partition("testserver")[2]).status_code == 200
    assert "link" not in call(anna, "GET", f"/vms/{vm.uuid}/links").json()[0]
    assert call(anna, "POST", f"/vms/{vm.uuid}/links", {"days": 31}).status_code == 422
    assert call(anna, "DELETE", f"/vms/{vm.uuid}/links/{link['id']}").status_code == 204
    assert not ScreenLink.objects.exists()


class TestLink:
    @pytest.fixture
    def secret(self, anna: User, vm: Vm) -> str:
        return links.make(anna, vm, 1)[1]

    def look(self, secret: str, name: str = "look") -> Any:
        address = reverse(f"vms:{name}", args=[secret])
        return Client().post(address) if name == "look_ticket" else Client().get(address)

    def ticket(self, secret: str) -> str:
        return str(self.look(secret, "look_ticket").json()["path"]).partition("ticket=")[2]

    def test_it_works(self, client: Client, anna: User, vm: Vm) -> None:
        client.force_login(anna)
        shown = client.post(url("make_link", vm), {"days": 2}).content.decode()
        secret = shown.partition("/vms/look/")[2].partition("/")[0]
        assert secret not in str(ScreenLink.objects.values())
        page = self.look(secret)
        assert page.status_code == 200
        assert page.headers["Cache-Control"].find("no-store") >= 0
        text = page.content.decode()
        assert "web-07" in text
        for word in ("vmhost1", "anna", "/vms/" + str(vm.uuid), "Shut down", "10.47"):
            assert word not in text
        assert "running" in self.look(secret, "look_state").content.decode()
        session = consoles.redeem_by_link(self.ticket(secret))
        assert session is not None
        assert (session.vm, session.user, session.view_only) == (vm, None, True)
        assert ScreenLink.objects.get().seen_at is not None
        made = Entry.objects.get(action="vms.screen-link_made")
        assert (made.who, secret in str(made.details)) == ("anna", False)
        console_record.opened(session)
        opened = Entry.objects.get(action="vms.console_opened")
        assert (opened.text, opened.details["link_of"]) == ("Open console: web-07 (by a link of anna)", "anna")

    def test_it_ends(self, client: Client, anna: User, bert: User, vm: Vm, secret: str) -> None:
        session = consoles.redeem_by_link(self.ticket(secret))
        assert session is not None
        opened = {session.pk: consoles.Opened("", "")}
        assert consoles.still_allowed(opened) == {session.pk}
        ticket = self.ticket(secret)
        for change in (
            lambda: Vm.objects.update(owner=bert),
            lambda: User.objects.filter(pk=anna.pk).update(is_active=False),
            lambda: ScreenLink.objects.update(until=timezone.now()),
        ):
            change()
            assert consoles.still_allowed(opened) == set()
            assert self.look(secret).status_code == 404
            assert self.look(secret, "look_ticket").status_code == 410
            assert self.look(secret, "look_state").status_code == 286
            Vm.objects.update(owner=anna)
            User.objects.update(is_active=True)
        assert consoles.redeem_by_link(ticket) is None

    def test_its_maker_ends_it(self, client: Client, anna: User, vm: Vm, secret: str) -> None:
        session = consoles.redeem_by_link(self.ticket(secret))
        assert session is not None
        client.force_login(anna)
        client.post(url("end_link", vm, ScreenLink.objects.get().pk))
        assert self.look(secret).status_code == 404
        assert consoles.still_allowed({session.pk: consoles.Opened("", "")}) == set()
        assert ConsoleSession.objects.exists(), "the record of who looked stays"
        assert Entry.objects.filter(action="vms.screen-link_removed", who="anna").exists()

    def test_a_ticket_works_once(self, secret: str) -> None:
        ticket = self.ticket(secret)
        assert consoles.redeem_by_link(ticket) is not None
        assert consoles.redeem_by_link(ticket) is None
        assert consoles.redeem(self.ticket(secret), "") is None

    def test_wrong_ones_are_counted(self, redis_socket: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.REDIS_URL = f"unix://{redis_socket}"
        monkeypatch.setattr(counting, "_away_until", 0.0)
        monkeypatch.setattr(links, "WRONG_A_MINUTE", 3)
        assert [self.look(f"guess-{n}").status_code for n in range(4)] == [404, 404, 404, 429]

    def test_not_too_many_at_once(self, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consoles, "MOST_BY_LINK", 1)
        self.ticket(secret)
        assert self.look(secret, "look_ticket").status_code == 409

    def test_not_while_it_is_off(self, secret: str) -> None:
        Vm.objects.update(observed_state="off")
        assert self.look(secret, "look_ticket").json()["error"] == "web-07 is off."


HELLO = b"RFB 003.008\n" + b"\1" + b"\0"
UPDATE = struct.pack(">BBHHHH", 3, 1, 0, 0, 640, 480)
KEY, POINTER = struct.pack(">BBHI", 4, 1, 0, 0x61), struct.pack(">BBHH", 5, 1, 10, 10)
QEMU_KEY = struct.pack(">BBHII", 255, 0, 1, 0x61, 30)
PASTE, LONG_PASTE = struct.pack(">B3xi", 6, 2) + b"hi", struct.pack(">B3xi", 6, -4) + b"abcd"
ENCODINGS = struct.pack(">BBHii", 2, 0, 2, 0, 7)
FENCE = struct.pack(">B3xIB", 248, 1, 2) + b"xy"
RESIZE = struct.pack(">BBHHBB", 251, 0, 8, 8, 1, 0) + bytes(16)


class TestViewOnly:
    @pytest.mark.parametrize("step", [1, 3, 1000])
    def test_only_what_is_needed_to_see_goes_on(self, step: int) -> None:
        sent = HELLO + ENCODINGS + KEY + UPDATE + POINTER + QEMU_KEY + PASTE + LONG_PASTE + FENCE + RESIZE + UPDATE
        sent += bytes([250, 0, 1, 2])
        view = ViewOnly()
        got = b"".join(view.feed(sent[at : at + step]) for at in range(0, len(sent), step))
        assert got == HELLO[:-1] + b"\1" + ENCODINGS + UPDATE + FENCE + UPDATE

    def test_with_a_password(self) -> None:
        view = ViewOnly()
        assert view.feed(b"RFB 003.008\n\2" + bytes(16) + b"\0" + KEY + UPDATE)[-11:] == b"\1" + UPDATE

    @pytest.mark.parametrize("rubbish", [b"GET / HTTP/1", b"RFB 003.008\n\x13", HELLO + b"\x63", HELLO + b"\xff\x07xx"])
    def test_what_is_not_known_ends_it(self, rubbish: bytes) -> None:
        with pytest.raises(NotRfb):
            ViewOnly().feed(rubbish)

    def test_very_many_small_ones_are_no_work(self) -> None:
        """A mebibyte of empty lists of encodings: gone through once, not copied for each."""
        view, small = ViewOnly(), b"\2\0\0\0"
        view.feed(HELLO)
        assert view.feed(small * 200_000 + b"\4") == small * 200_000
        assert view.feed(b"\1\0\0\0\0\0\x61" + small) == small, "a key in two pieces goes nowhere"

    def test_giants_end_it(self) -> None:
        with pytest.raises(NotRfb):
            ViewOnly().feed(HELLO + struct.pack(">B3xi", 6, 2**31 - 1))
