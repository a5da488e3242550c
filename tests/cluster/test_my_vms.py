"""My VMs: whose they are, what a card offers to whom, and what it costs."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.models import Role, User
from selfservice import quotas
from selfservice.models import Request
from selfservice.states import RequestState
from tests.factories import give, make_group, make_host, make_user, make_vm
from tests.selfservice.kit import ask, make_offer
from vms.login import ssh_command
from vms.models import Tag, Vm
from vms.states import VmState

URL = "/my-vms/"


@pytest.fixture
def anna(db: None) -> User:
    return make_user("anna")


def page(client: Client, user: User) -> str:
    client.force_login(user)
    return client.get(URL).content.decode()


def test_it_works(client: Client, anna: User) -> None:
    host = make_host()
    more: dict[str, Any] = {"address": "10.47.0.127", "first_boot": {"user": "student"}, "description": "my <notes>"}
    vm = make_vm(host, "web-07", owner=anna, **more)
    vm.tags.add(Tag.objects.create(name="os-course"))
    make_vm(host, "strange")
    text = page(client, anna)
    for word in ("web-07", "10.47.0.127", "ssh student@10.47.0.127", "my &lt;notes&gt;", "os-course", "Shut down"):
        assert word in text
    assert f"/vms/{vm.uuid}/console" in text
    for word in ("strange", "vmhost1"):
        assert word not in text
    assert "web-07" in client.get(f"{URL}{vm.uuid}").content.decode()


def test_whoever_has_nothing_is_led_to_the_offers(client: Client, anna: User) -> None:
    text = page(client, anna)
    assert "You have no VM yet" in text
    assert "/offers/" in text


def test_what_was_asked_for_is_there_at_once(client: Client, anna: User) -> None:
    wish = ask(anna, make_offer(make_user("ada", Role.ADMINISTRATOR)), pattern="db")
    text = page(client, anna)
    assert "db" in text
    assert "It waits to be approved." in text
    Request.objects.filter(pk=wish.pk).update(state=RequestState.FAILED)
    assert "It could not be made" in page(client, anna)
    Request.objects.filter(pk=wish.pk).update(state=RequestState.REJECTED)
    assert "You have no VM yet" in page(client, anna)


def test_time_left(client: Client, anna: User) -> None:
    wish = ask(anna, make_offer(make_user("ada", Role.ADMINISTRATOR)), pattern="db")
    vm = make_vm(make_host("vmhost2"), "db", owner=anna)
    quotas.attach(wish.reservations.get(), vm)
    until = timezone.now() + timedelta(days=12, hours=4, minutes=1)
    Request.objects.filter(pk=wish.pk).update(state=RequestState.READY, until=until)
    text = page(client, anna).replace("\N{NO-BREAK SPACE}", " ")
    assert "12 days 4 h" in text
    assert wish.get_absolute_url() in text


def test_shared_ones_are_there_with_what_one_may(client: Client, anna: User) -> None:
    bert = make_user("bert")
    vm = make_vm(make_host(), "shared", owner=bert)
    give(anna, "console", vm)
    text = page(client, anna)
    assert "shared by bert" in text
    assert f"/vms/{vm.uuid}/console" in text
    assert "Shut down" not in text
    assert f"/vms/{vm.uuid}/snapshots" not in text
    assert client.post(f"/vms/{vm.uuid}/act/shutdown").status_code == 403


def test_a_managers_group_is_not_theirs(client: Client, anna: User) -> None:
    make_vm(make_host(), "of-the-course", group=make_group("Course", manager=anna))
    assert "of-the-course" not in page(client, anna)
    assert 'href="/vms/"' in page(client, anna), "but in the list"


def test_a_card_that_is_no_longer_theirs_goes(client: Client, anna: User) -> None:
    vm = make_vm(make_host(), "web-07", owner=anna)
    client.force_login(anna)
    Vm.objects.update(owner=None)
    assert client.get(f"{URL}{vm.uuid}").content == b""


def test_menu(client: Client, anna: User, operator: User) -> None:
    assert URL in page(client, anna)
    assert 'href="/vms/"' not in client.get("/offers/").content.decode()
    client.force_login(operator)
    shown = client.get("/jobs/").content.decode()
    assert 'href="/vms/"' in shown
    assert shown.count(f'href="{URL}"') == 1, "behind their name"


def test_cheap(client: Client, anna: User) -> None:
    """However many VMs: few queries, in pages."""
    host, offer = make_host("vmhost2"), make_offer(make_user("ada", Role.ADMINISTRATOR))
    for number in range(60):
        vm = make_vm(host, f"vm-{number:02d}", owner=anna, address="10.1.2.3")
        vm.tags.add(Tag.objects.get_or_create(name=f"t{number}")[0])
    wishes = [ask(anna, offer, pattern=f"w{number}") for number in range(3)]
    quotas.attach(wishes[0].reservations.get(), vm)
    page(client, anna)
    with CaptureQueriesContext(connection) as seen:
        text = client.get(URL, headers={"HX-Request": "true"}).content.decode()
    assert text.count("<article") == 24 + 3
    assert len(seen) <= 12, [one["sql"][:80] for one in seen]
    with CaptureQueriesContext(connection) as one_card:
        client.get(f"{URL}{vm.uuid}")
    assert len(one_card) <= 8


def test_ssh_command(anna: User) -> None:
    vm = make_vm(make_host(), address="", first_boot={"user": "student"})
    assert ssh_command(vm) == ""
    vm.address = "fd00::1"
    assert ssh_command(vm) == "ssh student@fd00::1"
    vm.first_boot = {}
    assert ssh_command(vm) == "ssh fd00::1"
    vm.address = "$(reboot)"
    assert ssh_command(vm) == ""
    assert vm.state == VmState.RUNNING
