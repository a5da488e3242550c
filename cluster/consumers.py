"""The live socket: a page says which topics it shows and hears when they change."""

import json
import re
import time
from collections import deque
from typing import Any

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from access.rules import can, visible
from jobs.models import Job
from ui.live import group_name
from vms import screens
from vms.models import Vm

MAX_TOPICS = 500
MAX_BYTES = 64 * 1024
MAX_MESSAGES, PER_S = 200, 10.0  # far more than any page of ours says what it watches
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VM_TOPIC, SCREEN_TOPIC = re.compile(rf"vm\.{UUID}"), re.compile(rf"screen\.{UUID}")
JOB_TOPIC = re.compile(r"job\.[1-9][0-9]{0,17}")
KIND_TOPIC = re.compile(r"[a-z]+(\.[0-9]{1,18})?")
PERMISSION = {
    "vms": "vms.view",
    "jobs": "jobs.view",
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

    Two queries, however many topics are asked for.
    """
    of_vms = {topic for topic in topics if VM_TOPIC.fullmatch(topic)}
    if can(user, "vms.console"):
        of_vms |= {topic for topic in topics if SCREEN_TOPIC.fullmatch(topic)}
    vms = {topic.partition(".")[2] for topic in of_vms}
    jobs = {int(topic.removeprefix("job.")): topic for topic in topics if JOB_TOPIC.fullmatch(topic)}
    seen_vms = visible(user, Vm.objects.filter(uuid__in=vms)).values_list("uuid", flat=True) if vms else ()
    seen_jobs = visible(user, Job.objects.filter(pk__in=jobs)).values_list("pk", flat=True) if jobs else ()
    granted = {kind for kind, permission in PERMISSION.items() if can(user, permission)}
    by_kind = {topic for topic in topics if KIND_TOPIC.fullmatch(topic) and topic.partition(".")[0] in granted}
    seen = {str(uuid) for uuid in seen_vms}
    return by_kind | {topic for topic in of_vms if topic.partition(".")[2] in seen} | {jobs[pk] for pk in seen_jobs}


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """In: {"watch": [topics]}, which replaces what was watched. Out: {"topic": ..., ...} as published by ui.live."""

    topics: set[str]
    heard: deque[float]

    async def connect(self) -> None:
        self.topics, self.heard = set(), deque(maxlen=MAX_MESSAGES)
        if not self.scope["user"].is_authenticated:
            await self.close(code=4401)
            return
        await self.accept()

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
        allowed = await self.allowed({topic for topic in wanted if isinstance(topic, str)})
        for topic in self.topics - allowed:
            await self.channel_layer.group_discard(group_name(topic), self.channel_name)
        for topic in allowed - self.topics:
            await self.channel_layer.group_add(group_name(topic), self.channel_name)
        begun, self.topics = allowed - self.topics, allowed
        await self.send_json({"watching": sorted(allowed)})
        for topic in begun:
            await self.look(topic)

    @database_sync_to_async
    def allowed(self, topics: set[str]) -> set[str]:
        return may_watch(self.scope["user"], topics)

    async def disconnect(self, code: int) -> None:
        for topic in self.topics:
            await self.channel_layer.group_discard(group_name(topic), self.channel_name)

    async def live_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event["data"])
        await self.look(str(event["data"].get("topic", "")))

    async def look(self, topic: str) -> None:
        """A page that shows a screen goes on looking at it: said again with each picture and each change of its VM."""
        kind, _dot, uuid = topic.partition(".")
        if kind in {"vm", "screen"} and screens.topic(uuid) in self.topics:
            await sync_to_async(screens.look, thread_sensitive=False)(uuid)
