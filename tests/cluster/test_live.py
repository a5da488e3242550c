"""The live socket: who may hear of what."""

import uuid
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser

from access.models import Role, User
from cluster.consumers import LiveConsumer
from jobs.models import Job
from jobs.run import Run
from ui import live
from vms.models import Vm

pytestmark = pytest.mark.django_db(transaction=True)
OWN, OTHER = uuid.uuid4(), uuid.uuid4()


async def socket(user: Any) -> WebsocketCommunicator:
    made = WebsocketCommunicator(LiveConsumer.as_asgi(), "/live")
    made.scope["user"] = user
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


def test_how_far_a_job_is_goes_to_its_own_topic_only(lena: User, monkeypatch: Any) -> None:
    """Everybody hears of "jobs": numbers and steps of other people's jobs must not be in it."""
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(live, "publish", lambda *topics, **data: sent.append(topics))
    Run(Job.objects.get(pk=8)).progress(10, "secret step")
    assert sent == [("job.8",)]
