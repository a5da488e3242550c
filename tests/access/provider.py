"""A real OpenID Connect provider in a thread, and a browser's way through it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import requests
from django.test import Client
from oidc_provider_mock import run_server_in_thread

from cluster.env import oidc_apps

GOES_ON = re.compile(r'<meta http-equiv="refresh" content="0; url=([^"]+)">')


@contextmanager
def running() -> Iterator[str]:
    """Its address."""
    with run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


def configure(settings: Any, url: str, **more: Any) -> None:
    """As the environment would."""
    settings.OIDC_URL, settings.OIDC_NAME = url, "the university"
    for name, value in more.items():
        setattr(settings, name, value)
    oidc = {
        **settings.SOCIALACCOUNT_PROVIDERS["openid_connect"],
        "APPS": oidc_apps(url, "the university", "drover", "s"),
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": oidc}


def knows(url: str, subject: str, **claims: Any) -> None:
    requests.put(f"{url}/users/{subject}", json=claims, timeout=5).raise_for_status()


def begun(client: Client, **more: str) -> str:
    """The provider's page that the login button leads to."""
    page = client.post("/login/oidc", more)
    assert page.status_code == 200
    found = GOES_ON.search(page.content.decode())
    assert found
    return unescape(found[1])


def agreed(url: str, subject: str, **more: str) -> str:
    """What the provider sends the browser back with: path and query."""
    answer = requests.post(url, data={"sub": subject, **more}, allow_redirects=False, timeout=5)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["Location"])
    assert back.path == "/login/oidc/callback"
    return f"{back.path}?{back.query}"


def log_in(subject: str, client: Client | None = None, **more: str) -> tuple[Client, Any]:
    client = client or Client()
    return client, client.get(agreed(begun(client, **more), subject))
