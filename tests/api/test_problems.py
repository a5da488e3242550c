"""Every error below /api/ is a problem (RFC 9457), whoever tells it: a call, Django, a middleware, a bug."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from access.models import User
from tests.api.kit import BASE, call
from vms.models import Vm

pytestmark = pytest.mark.django_db


def told(answer: Any, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.content
    assert int(answer.headers.get("Content-Length", len(answer.content))) == len(answer.content)
    found: dict[str, Any] = answer.json()
    assert (found["type"], found["status"]) == ("about:blank", status)
    assert found["title"]
    assert found["detail"]
    return found


def test_nobody() -> None:
    answer = call(None, "GET", "/vms/")
    told(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer drover_old"}, {"Authorization": "Basic YTpi"}], ids=str
)
def test_a_change_by_nobody(admin: User, headers: dict[str, str]) -> None:
    """It is not the CSRF token that is missing."""
    told(Client(enforce_csrf_checks=True).post(f"{BASE}/hosts/trust", headers=headers), 401)


def test_a_wrong_token_is_not_made_up_for_by_a_session(admin_client: Client) -> None:
    told(admin_client.get(f"{BASE}/vms/", headers={"Authorization": "Bearer drover_old"}), 401)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/vms/?name=%00", 400),
        ("GET", "/groups/1/members/%00", 400),
        ("PUT", "/vms/", 405),
        ("OPTIONS", "/vms/", 405),
        ("GET", "/vms/not-a-uuid", 422),
        ("GET", f"/hosts/{'9' * 400}", 404),
    ],
)
def test_odd_calls(admin: User, method: str, path: str, status: int) -> None:
    told(call(admin, method, path), status)


def test_405_says_what_it_takes(admin: User) -> None:
    answer = call(admin, "PUT", "/vms/")
    assert {"GET", "POST"} == set(answer.headers["Allow"].split(", "))
    assert "GET" in told(answer, 405)["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_only_json(admin: User, kind: str) -> None:
    client = Client()
    client.force_login(admin)
    told(client.generic("POST", f"{BASE}/vms/", b'{"name": "x"}', content_type=kind), 415)


def test_no_json(admin: User) -> None:
    client = Client()
    client.force_login(admin)
    told(client.generic("POST", f"{BASE}/vms/", b"{", content_type="application/json"), 400)


def test_a_host_name_that_is_not_ours(admin_client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["drover.example"]
    told(admin_client.get(f"{BASE}/vms/"), 400)


def test_without_csrf(admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    told(client.post(f"{BASE}/hosts/trust"), 403)


@pytest.mark.parametrize(("error", "status"), [(ZeroDivisionError("secret"), 500), (OperationalError("locked"), 503)])
def test_an_error_of_ours(admin: User, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int) -> None:
    def fail(*_args: Any, **_more: Any) -> None:
        raise error

    client = Client(raise_request_exception=False)
    client.force_login(admin)
    monkeypatch.setattr(Vm.objects, "select_related", fail)
    answer = client.get(f"{BASE}/vms/")
    assert "secret" not in str(told(answer, status))
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_pages_are_told_as_pages(admin_client: Client) -> None:
    assert admin_client.get("/nothing").headers["Content-Type"].startswith("text/html")


def test_every_call_describes_its_errors(admin: User) -> None:
    schema = call(admin, "GET", "/openapi.json").json()
    parts = schema["components"]["responses"]
    for calls in schema["paths"].values():
        for about in calls.values():
            wanted = {"400", "401", "403", "404", "422", "429", "500", "503"}
            wanted |= {"413", "415"} if "requestBody" in about else set()
            assert wanted <= set(about["responses"]), about["operationId"]
            for status, answer in about["responses"].items():
                if int(status) >= 400:
                    known = parts[answer["$ref"].rsplit("/", 1)[1]] if "$ref" in answer else answer
                    assert list(known["content"]) == ["application/problem+json"], about["operationId"]
