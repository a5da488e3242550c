"""Pages and the live socket in one ASGI application, served by daphne."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application


def build() -> ProtocolTypeRouter:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cluster.settings")
    pages = get_asgi_application()  # first: it loads the models that the consumers import
    from cluster.memory import settle
    from cluster.routing import live_socket

    settle()
    return ProtocolTypeRouter({"http": pages, "websocket": live_socket})


application = build()
