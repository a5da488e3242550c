"""The one WebSocket of a page."""

from typing import Any

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from channels.sessions import SessionMiddlewareStack
from django.urls import path

from cluster.consumers import LiveConsumer


class SameOrigin:
    """Refuses a socket opened by a page of another origin: Origin's host and port must be the Host asked for."""

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin1").partition("://")[2]
        if origin and origin == headers.get(b"host", b"").decode("latin1"):
            return await self.application(scope, receive, send)
        return await WebsocketDenier()(scope, receive, send)


live_socket = SameOrigin(SessionMiddlewareStack(URLRouter([path("live", LiveConsumer.as_asgi())])))
