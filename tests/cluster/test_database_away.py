"""A database that does not answer is told as that, by pages and API, and not as Drover's mistake."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from access.models import ApiToken, User


def no_writing(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """What SQLite says when somebody else holds the lock for longer than it waits."""
    if sql.startswith(("INSERT", "UPDATE", "DELETE")):
        raise OperationalError("database is locked")
    return execute(sql, params, many, context)


@pytest.mark.django_db(transaction=True)
def test_pages(admin_client: Client) -> None:
    with connection.execute_wrapper(no_writing):
        answer = admin_client.post("/profile/theme", {"theme": "dark"})
        assert admin_client.get("/hosts/").status_code == 200
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert "The database does not answer" in answer.content.decode()
    assert User.objects.get(username="ada").theme == "auto"


@pytest.mark.django_db(transaction=True)
def test_api(admin: User, client: Client) -> None:
    _token, secret = ApiToken.make(admin, "test")
    ApiToken.of(secret)
    headers = {"Authorization": f"Bearer {secret}"}
    with connection.execute_wrapper(no_writing):
        answer = client.post(
            "/api/v1/hosts/", {"address": "192.0.2.7"}, content_type="application/json", headers=headers
        )
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.json()["retry_after_s"] == 10
