"""Calling the API as a script does: with a token."""

import json
from typing import Any

from django.test import Client

from access.models import ApiToken, User

BASE = "/api/v1"


def call(user: User | None, method: str, path: str, body: Any = None, **headers: str) -> Any:
    if user is not None:
        _token, secret = ApiToken.make(user, "test")
        headers["Authorization"] = f"Bearer {secret}"
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    return Client().generic(method, BASE + path, data, content_type=kind, headers=headers)
