"""The live socket: who may hear of what."""

import uuid
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access.models import Role, User
from cluster.consumers import MAX_MESSAGES, LiveConsumer, may_watch
from cluster.routing import live_socket
from jobs.models import Job
from jobs.run import Run
from ui import live
from vms.models import Vm

pytestmark = pytest.mark.django_db(transaction=True)
OWN, OTHER = uuid.uuid4(), uuid.uuid4()


@database_sync_to_async
def session_of(user: Any) -> Any:
    """A web session as logging in makes it."""
    client = Client()
    if user.pk:
        client.force_login(user)
    return client.session


async def socket(user: Any) -> WebsocketCommunicator:
    made = WebsocketCommunicator(LiveConsumer.as_asgi(), "/live")
    made.scope["session"] = await session_of(user)
    return made


@pytest.fixture
def lena() -> User:
    user = User.objects.create_user("lena", role=Role.USER)
    Vm.objects.create(uuid=OWN, name="own", owner=user)
    Vm.objects.create(uuid=OTHER, name="other")
    Job.objects.create(pk=7, operation="x", title="x", user=user)
    Job.objects.create(pk=8, operation="x", title="x")
    return user


async def test_no_login_no_socket() -> None:
    connected, code = await (await socket(AnonymousUser())).connect()
    assert (connected, code) == (False, 4401)


async def test_only_what_may_be_seen(lena: User) -> None:
    page = await socket(lena)
    await page.connect()
    await page.send_json_to({"watch": [f"vm.{OWN}", f"vm.{OTHER}", "job.7", "job.8", "hosts", "vms", "x y", "../", 5]})
    assert await page.receive_json_from() == {"watching": ["job.7", f"vm.{OWN}", "vms"]}
    layer = get_channel_layer()
    for topic in (f"vm.{OTHER}", "job.8", f"vm.{OWN}"):
        await layer.group_send(live.group_name(topic), {"type": "live.message", "data": {"topic": topic}})
    assert await page.receive_json_from() == {"topic": f"vm.{OWN}"}
    assert await page.receive_nothing()
    await page.disconnect()


async def test_a_new_list_replaces_the_old_one(lena: User) -> None:
    page = await socket(lena)
    await page.connect()
    await page.send_json_to({"watch": ["vms", "job.7"]})
    await page.receive_json_from()
    await page.send_json_to({"watch": ["job.7"]})
    assert await page.receive_json_from() == {"watching": ["job.7"]}
    layer = get_channel_layer()
    await layer.group_send(live.group_name("vms"), {"type": "live.message", "data": {"topic": "vms"}})
    assert await page.receive_nothing()
    await page.disconnect()


@pytest.mark.parametrize("rubbish", [[], {"watch": "vms"}, {"watch": ["vms"] * 501}, {"other": 1}])
async def test_rubbish_closes_it(lena: User, rubbish: Any) -> None:
    page = await socket(lena)
    await page.connect()
    await page.send_json_to(rubbish)
    assert (await page.receive_output())["code"] == 4400


NO_JSON = [" ", "{", "\x00", "[" * 60_000, "null", '{"watch": ["' + "x" * 70_000 + '"]}']


@pytest.mark.parametrize("text", NO_JSON, ids=len)
async def test_what_is_no_json_closes_it(lena: User, text: str) -> None:
    page = await socket(lena)
    await page.connect()
    await page.send_to(text_data=text)
    assert (await page.receive_output())["code"] == 4400


async def test_bytes_close_it(lena: User) -> None:
    page = await socket(lena)
    await page.connect()
    await page.send_to(bytes_data=b"\xff\x00")
    assert (await page.receive_output())["code"] == 4400


async def test_odd_topics_are_nobodys(lena: User) -> None:
    """36 signs that are no UUID, numbers beyond the database's, groups of the layer's own."""
    page = await socket(lena)
    await page.connect()
    odd = ["vm." + "f" * 36, "vm." + "-" * 36, "job." + "9" * 30, "job.07", "job.-1", f"vm.{OTHER}".upper(), "live.vms"]
    await page.send_json_to({"watch": [*odd, "vms*", "specific.a!b", {"vms": 1}, None, "host.1", "host.1.2"]})
    assert await page.receive_json_from() == {"watching": []}
    await page.disconnect()


@pytest.mark.thorough
async def test_a_flood_closes_it(lena: User) -> None:
    page = await socket(lena)
    await page.connect()
    for _each in range(MAX_MESSAGES + 1):
        await page.send_json_to({"watch": []})
    for _each in range(MAX_MESSAGES):
        await page.receive_output()
    assert (await page.receive_output())["code"] == 4429


@pytest.mark.parametrize(
    "origin", [None, b"", b"null", b"http://evil.example", b"http://drover.example.evil", b"drover.example"]
)
async def test_another_origin_gets_no_socket(lena: User, origin: bytes | None) -> None:
    headers = [(b"host", b"drover.example")] + ([(b"origin", origin)] if origin is not None else [])
    connected, _code = await WebsocketCommunicator(live_socket, "/live", headers=headers).connect()
    assert not connected


async def test_five_hundred_topics_cost_four_queries(lena: User) -> None:
    topics = {f"vm.{uuid.uuid4()}" for _each in range(250)} | {f"job.{n}" for n in range(1, 250)} | {f"vm.{OWN}"}

    def ask() -> tuple[set[str], int]:
        with CaptureQueriesContext(connection) as queries:
            return may_watch(lena, topics), len(queries)

    assert await database_sync_to_async(ask)() == ({f"vm.{OWN}", "job.7"}, 4)  # two of them: what was given to them


def test_how_far_a_job_is_goes_to_its_own_topic_only(lena: User, monkeypatch: Any) -> None:
    """Everybody hears of "jobs": numbers and steps of other people's jobs must not be in it."""
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(live, "publish", lambda *topics, **data: sent.append(topics))
    Run(Job.objects.get(pk=8)).progress(10, "secret step")
    assert sent == [("job.8",)]
