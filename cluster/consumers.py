"""The live socket: a page says which topics it shows and hears when they change."""

import json
import re
import time
from collections import deque
from typing import Any

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from access.models import User
from access.rights import stamp
from access.rules import can, everywhere, visible
from access.sessions import people_of
from cluster.doorkeeper import doorkeeper
from jobs.discretion import sees_all
from jobs.models import Job
from selfservice.models import Request
from storage.models import Image, Pool
from ui.live import group_name
from vms import screens
from vms.models import Vm

NOBODY, CHANGED = 4401, 4403  # close codes: log in again; come in again
MAX_TOPICS = 500
MAX_BYTES = 64 * 1024
MAX_MESSAGES, PER_S = 200, 10.0  # far more than any page of ours says what it watches
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VM_TOPIC, SCREEN_TOPIC = re.compile(rf"vm\.{UUID}"), re.compile(rf"screen\.{UUID}")
JOB_TOPIC = re.compile(r"job\.[1-9][0-9]{0,17}")
KIND_TOPIC = re.compile(r"[a-z]+(\.[0-9]{1,18})?")
TELLING = {"line", "level", "step", "detail"}  # of a job's progress: may name hosts
PERMISSION = {
    "vms": "vms.view",
    "jobs": "jobs.view",
    "audit": "audit.view",
    "offers": "selfservice.view",
    "requests": "selfservice.view",
    "request": "selfservice.view",
    "hosts": "hosts.view",
    "host": "hosts.view",
    "pools": "storage.view",
    "pool": "storage.view",
    "images": "storage.view",
    "image": "storage.view",
    "networks": "hosts.view",
    "network": "hosts.view",
}


def may_watch(user: Any, topics: set[str]) -> set[str]:
    """Those of the topics that this person may hear of: a VM's or job's if they may see it, a kind's by permission.

    A VM's screen is for those who may open its console.

    Some queries, however many topics are asked for.
    """
    of_vms = {topic for topic in topics if VM_TOPIC.fullmatch(topic)}
    of_screens = {topic for topic in topics if SCREEN_TOPIC.fullmatch(topic)}
    jobs = {int(topic.removeprefix("job.")): topic for topic in topics if JOB_TOPIC.fullmatch(topic)}
    seen_jobs = visible(user, Job.objects.filter(pk__in=jobs)).values_list("pk", flat=True) if jobs else ()
    by_kind = {topic for topic in topics if KIND_TOPIC.fullmatch(topic) and _may_hear(user, *topic.split("."))}
    of_vms = _of_vms(user, of_vms, "vms.view") | _of_vms(user, of_screens, "vms.console")
    return by_kind | of_vms | {jobs[pk] for pk in seen_jobs}


def _of_vms(user: Any, topics: set[str], permission: str) -> set[str]:
    """Those of topics about VMs whose VM this person has the permission on."""
    by_uuid = {topic.partition(".")[2]: topic for topic in topics}
    rows = visible(user, Vm.objects.filter(uuid__in=by_uuid), permission) if topics else Vm.objects.none()
    return {by_uuid[str(uuid)] for uuid in rows.values_list("uuid", flat=True)}


def _may_hear(user: Any, kind: str, key: str = "") -> bool:
    """Of a kind in general: who sees any of it. Of one thing: who sees it. Of notices: whose they are."""
    if kind == "notices":
        return key == str(user.pk)
    if kind not in PERMISSION:
        return False
    if not key or everywhere(user, PERMISSION[kind]):
        return can(user, PERMISSION[kind])
    model = {"pool": Pool, "image": Image, "request": Request}.get(kind)
    return model is not None and visible(user, model._default_manager.filter(pk=int(key))).exists()


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """In: {"watch": [topics]}, which replaces what was watched. Out: {"topic": ..., ...} as published by ui.live."""

    topics: set[str]
    heard: deque[float]
    session_key: str
    rights: str
    is_discreet: bool

    async def connect(self) -> None:
        self.topics, self.heard = set(), deque(maxlen=MAX_MESSAGES)
        self.session_key = self.scope["session"].session_key or ""
        person = await self.person()
        if person is None:
            await self.close(code=NOBODY)
            return
        self.rights = stamp(person)
        self.is_discreet = not await database_sync_to_async(sees_all)(person)
        await self.accept()
        doorkeeper.let_in(self)

    @database_sync_to_async
    def person(self) -> User | None:
        return people_of({self.session_key}).get(self.session_key)

    async def look_again(self, person: User | None) -> None:
        """From the doorkeeper. A page with other rights now comes back by itself, and sees what it may see then."""
        if person is None or stamp(person) != self.rights:
            doorkeeper.let_out(self)
            await self.close(code=NOBODY if person is None else CHANGED)
        elif self.topics and not everywhere(person, "vms.view"):
            await self.watch(await self.allowed(person, self.topics))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """Rubbish, giants and floods close the socket: no page of ours sends them."""
        now = time.monotonic()
        if len(self.heard) == MAX_MESSAGES and now - self.heard[0] < PER_S:
            await self.close(code=4429)
            return
        self.heard.append(now)
        try:
            content = json.loads(text_data or "") if len(text_data or "") <= MAX_BYTES else None
        except (ValueError, RecursionError):
            content = None
        await self.receive_json(content, **kwargs)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        wanted = content.get("watch") if isinstance(content, dict) else None
        if not isinstance(wanted, list) or len(wanted) > MAX_TOPICS:
            await self.close(code=4400)
            return
        person = await self.person()
        if person is None:
            await self.close(code=NOBODY)
            return
        before = self.topics
        await self.watch(await self.allowed(person, {topic for topic in wanted if isinstance(topic, str)}))
        await self.send_json({"watching": sorted(self.topics)})
        for topic in self.topics - before:
            await self.look(topic)

    @database_sync_to_async
    def allowed(self, person: User, topics: set[str]) -> set[str]:
        return may_watch(person, topics)

    async def watch(self, topics: set[str]) -> None:
        before, self.topics = self.topics, topics
        for topic in before - topics:
            await self.channel_layer.group_discard(group_name(topic), self.channel_name)
        for topic in topics - before:
            await self.channel_layer.group_add(group_name(topic), self.channel_name)

    async def disconnect(self, code: int) -> None:
        doorkeeper.let_out(self)
        for topic in self.topics:
            await self.channel_layer.group_discard(group_name(topic), self.channel_name)

    async def live_message(self, event: dict[str, Any]) -> None:
        data = event["data"]
        if self.is_discreet and (TELLING & data.keys()):  # the page asks for what it may read of it
            data = {name: value for name, value in data.items() if name not in TELLING}
        await self.send_json(data)
        await self.look(str(event["data"].get("topic", "")))

    async def look(self, topic: str) -> None:
        """A page that shows a screen goes on looking at it: said again with each picture and each change of its VM."""
        kind, _dot, uuid = topic.partition(".")
        if kind in {"vm", "screen"} and screens.topic(uuid) in self.topics:
            await sync_to_async(screens.look, thread_sensitive=False)(uuid)
