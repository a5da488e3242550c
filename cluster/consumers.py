"""The live socket: a page says which topics it shows and hears when they change."""

import re
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from access.rules import can, visible
from jobs.models import Job
from ui.live import group_name
from vms.models import Vm

MAX_TOPICS = 500
TOPIC = re.compile(r"[a-z]+(\.[0-9a-f-]{1,36})?")
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


def may_watch(user: Any, topic: str) -> bool:
    """Whether this person may hear of the topic: of one VM or job if they may see it, of a kind by permission."""
    if not TOPIC.fullmatch(topic):
        return False
    kind, _, key = topic.partition(".")
    if kind == "vm":
        return len(key) == 36 and visible(user, Vm.objects.filter(uuid=key)).exists()
    if kind == "job":
        return key.isdigit() and visible(user, Job.objects.filter(pk=key)).exists()
    return kind in PERMISSION and can(user, PERMISSION[kind])


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """In: {"watch": [topics]}, which replaces what was watched. Out: {"topic": ..., ...} as published by ui.live."""

    topics: set[str]

    async def connect(self) -> None:
        self.topics = set()
        if not self.scope["user"].is_authenticated:
            await self.close(code=4401)
            return
        await self.accept()

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
        self.topics = allowed
        await self.send_json({"watching": sorted(allowed)})

    @database_sync_to_async
    def allowed(self, topics: set[str]) -> set[str]:
        return {topic for topic in topics if may_watch(self.scope["user"], topic)}

    async def disconnect(self, code: int) -> None:
        for topic in self.topics:
            await self.channel_layer.group_discard(group_name(topic), self.channel_name)

    async def live_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event["data"])
