"""Tokens: what each is for, how long, who may make and end them; none does more than it says."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from access.models import ApiToken, User
from access.scopes import NAMES
from api.main import api
from api.scopes import ANY, AREA_OF, ROOMS, WHOLE
from audit.models import Entry
from jobs.models import Job
from tests.api.kit import BASE, call
from tests.factories import make_host, make_vm

pytestmark = pytest.mark.django_db


def by(user: User, method: str, path: str, body: Any = None, **scope: Any) -> Any:
    """With a token of this scope."""
    _token, secret = ApiToken.make(user, "script", **scope)
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {secret}"}
    return Client().generic(method, BASE + path, data, content_type="application/json", headers=headers)


def test_it_works(admin: User) -> None:
    made = call(admin, "POST", "/tokens", {"name": " backup ", "days": 7, "may_change": True, "areas": ["vms"]})
    assert made.status_code == 201, made.content
    secret = made.json()["token"]
    token = ApiToken.objects.get(name="backup")
    assert (token.user, token.may_change, token.areas) == (admin, True, ["vms"])
    assert token.expires_at is not None
    assert timedelta(days=6) < token.expires_at - timezone.now() <= timedelta(days=7)
    assert secret not in json.dumps(list(ApiToken.objects.values("digest", "name")))
    assert Client().get(f"{BASE}/vms/", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    listed = call(admin, "GET", "/tokens").json()
    assert "token" not in listed[0]
    entry = Entry.objects.get(action="access.token_made", key=str(token.pk))
    assert (entry.who, entry.details["areas"], secret in str(entry.details)) == ("ada", "['vms']", False)


def test_by_default_it_only_reads(admin: User) -> None:
    call(admin, "POST", "/tokens", {"name": "x"})
    assert not ApiToken.objects.get(name="x").may_change


def test_reading_only(admin: User) -> None:
    vm = make_vm(make_host("vmhost1"))
    assert by(admin, "GET", f"/vms/{vm.uuid}", may_change=False).status_code == 200
    answer = by(admin, "POST", f"/vms/{vm.uuid}/actions/pause", may_change=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert "only reads" in answer.json()["detail"]
    assert not Job.objects.exists()
    assert Entry.objects.filter(action="access.forbidden", who="ada").exists()


def test_areas(admin: User) -> None:
    assert by(admin, "GET", "/vms/", areas=["vms"]).status_code == 200
    for path in ("/hosts/", "/people", "/audit/", "/tokens", "/quotas", "/nothing-of-the-kind-yet"):
        status = by(admin, "GET", path, areas=["vms"]).status_code
        assert status == (404 if "nothing" in path else 403), path
    assert "/hosts" in by(admin, "GET", "/hosts/", areas=["vms"]).json()["detail"]


def test_jobs_of_its_areas(admin: User) -> None:
    mine, other = (Job.objects.create(operation=name, title="x", user=admin) for name in ("vms.pause", "hosts.probe"))
    assert [one["id"] for one in by(admin, "GET", "/jobs/", areas=["vms"]).json()["items"]] == [mine.pk]
    assert by(admin, "GET", f"/jobs/{other.pk}", areas=["vms"]).status_code == 404
    assert by(admin, "POST", f"/jobs/{other.pk}/cancel", areas=["vms"]).status_code == 404
    assert by(admin, "POST", f"/jobs/{mine.pk}/cancel", areas=["vms"]).status_code == 202


def test_it_gives_no_right(lab_user: User) -> None:
    assert by(lab_user, "GET", "/hosts/", areas=["hosts"]).status_code == 404


@pytest.mark.parametrize("scope", [{"may_change": False}, {"areas": sorted(NAMES)}])
def test_a_limited_one_makes_and_ends_none(admin: User, scope: dict[str, Any]) -> None:
    other, _secret = ApiToken.make(admin, "other")
    assert by(admin, "POST", "/tokens", {"name": "x", "may_change": True}, **scope).status_code == 403
    assert by(admin, "DELETE", f"/tokens/{other.pk}", **scope).status_code == 403
    assert not ApiToken.objects.filter(name="x").exists()


def test_none_outlives_its_maker(admin: User) -> None:
    soon = timezone.now() + timedelta(days=7)
    for days in (8, None):
        answer = by(admin, "POST", "/tokens", {"name": "x", "days": days}, expires_at=soon)
        assert (answer.status_code, answer.json()["field"]) == (422, "days")
    assert by(admin, "POST", "/tokens", {"name": "x", "days": 6}, expires_at=soon).status_code == 201


def test_nobody_elses(admin: User, lab_user: User) -> None:
    token, _secret = ApiToken.make(lab_user, "theirs")
    assert call(admin, "DELETE", f"/tokens/{token.pk}").status_code == 404
    assert call(lab_user, "DELETE", f"/tokens/{token.pk}").status_code == 204


@pytest.mark.parametrize(
    "wish", [{"name": " "}, {"name": "x" * 101}, {"name": "x", "days": 0}, {"name": "x", "areas": ["cluster"]}]
)
def test_nonsense(admin: User, wish: dict[str, Any]) -> None:
    assert call(admin, "POST", "/tokens", wish).status_code == 422


def test_every_call_belongs_to_an_area() -> None:
    words = {str(one.pattern).partition("/")[0] for one in api.urls[0] if isinstance(one, URLPattern)}
    words -= {"", "docs", "openapi.json"}
    assert words <= set(AREA_OF), "new calls: say in api/scopes.py to which area they belong"
    assert set(AREA_OF.values()) - {ANY, WHOLE} == NAMES
    assert set(ROOMS.values()) <= NAMES
