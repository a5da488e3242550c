"""An open live socket ends within seconds when its person may no longer be there, whatever changed that."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import ApiToken, Grant, Role, User
from cluster import doorkeeper
from cluster.routing import live_socket
from ui import live
from vms.models import Vm

pytestmark = pytest.mark.django_db(transaction=True)
OWN = uuid.uuid4()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "EVERY_S", 0.1)


@pytest.fixture
def client_of_lena(lab_user: User) -> Client:
    Vm.objects.create(uuid=OWN, name="own", owner=lab_user)
    client = Client()
    client.force_login(lab_user)
    return client


async def page_of(client: Client, *, cookie: bool = True, **headers: str) -> WebsocketCommunicator:
    """As a browser opens it: with the session's cookie, from our own origin."""
    given = {"host": "drover.example", "origin": "https://drover.example", **headers}
    if cookie:
        name = django_settings.SESSION_COOKIE_NAME
        given["cookie"] = f"{name}={client.cookies[name].value}"
    made = WebsocketCommunicator(live_socket, "/live", headers=[(k.encode(), v.encode()) for k, v in given.items()])
    made.answer = await made.connect()
    return made


def log_out(client: Client) -> None:
    client.post(reverse("access:logout"))


def deactivate(_client: Client) -> None:
    User.objects.update(is_active=False)


def delete(_client: Client) -> None:
    User.objects.all().delete()


def change_password(_client: Client) -> None:
    person = User.objects.get()
    person.set_password("another horse 8")
    person.save(update_fields=["password"])


def end_session(_client: Client) -> None:
    Session.objects.all().delete()


@pytest.mark.parametrize("end", [log_out, deactivate, delete, change_password, end_session])
async def test_it_ends(client_of_lena: Client, end: Callable[[Client], None]) -> None:
    page = await page_of(client_of_lena)
    await page.send_json_to({"watch": ["vms", f"vm.{OWN}"]})
    assert await page.receive_json_from() == {"watching": [f"vm.{OWN}", "vms"]}
    await asyncio.sleep(0.4)
    assert await page.receive_nothing()
    await database_sync_to_async(end)(client_of_lena)
    assert await page.receive_output(timeout=3) == {"type": "websocket.close", "code": 4401}
    assert (await page_of(client_of_lena)).answer[0] is False


async def test_another_role_means_coming_in_again(client_of_lena: Client) -> None:
    page = await page_of(client_of_lena)
    await database_sync_to_async(User.objects.update)(role=Role.OPERATOR)
    assert await page.receive_output(timeout=3) == {"type": "websocket.close", "code": 4403}
    assert (await page_of(client_of_lena)).answer[0] is True


async def test_a_right_that_is_given_or_ends_means_coming_in_again(client_of_lena: Client) -> None:
    page = await page_of(client_of_lena)
    lena = await User.objects.aget()
    grant = await Grant.objects.acreate(to_user=lena, role=Role.USER)
    assert await page.receive_output(timeout=10) == {"type": "websocket.close", "code": 4403}
    page = await page_of(client_of_lena)
    await Grant.objects.filter(pk=grant.pk).aupdate(until=timezone.now())
    assert await page.receive_output(timeout=10) == {"type": "websocket.close", "code": 4403}


async def test_a_vm_that_was_taken_away_is_heard_of_no_more(client_of_lena: Client) -> None:
    page = await page_of(client_of_lena)
    await page.send_json_to({"watch": ["vms", f"vm.{OWN}"]})
    await page.receive_json_from()
    await database_sync_to_async(Vm.objects.update)(owner=None)
    await asyncio.sleep(0.5)
    layer = get_channel_layer()
    for topic in (f"vm.{OWN}", "vms"):
        await layer.group_send(live.group_name(topic), {"type": "live.message", "data": {"topic": topic}})
    assert await page.receive_json_from() == {"topic": "vms"}
    await page.disconnect()


async def test_others_stay(client_of_lena: Client, operator: User) -> None:
    other = Client()
    await database_sync_to_async(other.force_login)(operator)
    first, second = await page_of(client_of_lena), await page_of(other)
    await database_sync_to_async(User.objects.filter(username="lena").update)(is_active=False)
    assert (await first.receive_output(timeout=3))["code"] == 4401
    await second.send_json_to({"watch": ["hosts"]})
    assert await second.receive_json_from() == {"watching": ["hosts"]}
    await second.disconnect()


async def test_a_database_that_is_away_closes_nothing(client_of_lena: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = await page_of(client_of_lena)

    def away(_keys: Any) -> Any:
        raise DatabaseError("away")

    with monkeypatch.context() as broken:
        broken.setattr(doorkeeper, "people_of", away)
        await asyncio.sleep(0.4)
    assert await page.receive_nothing()
    await database_sync_to_async(deactivate)(client_of_lena)
    assert (await page.receive_output(timeout=3))["code"] == 4401


async def test_a_token_opens_no_socket(client_of_lena: Client, lab_user: User) -> None:
    """So revoking one leaves nothing open: its next call is refused."""
    _token, secret = await database_sync_to_async(ApiToken.make)(lab_user, "script")
    page = await page_of(client_of_lena, cookie=False, authorization=f"Bearer {secret}")
    assert page.answer == (False, 4401)
