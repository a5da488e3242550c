"""The API: who is let in, what it shows, how it refuses."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from access.models import ApiToken, User
from jobs.models import Job
from tests.api.kit import BASE, call
from tests.factories import make_host, make_pool, make_vm
from vms.models import Vm

pytestmark = pytest.mark.django_db


@pytest.fixture
def vm() -> Vm:
    hosts = [make_host("vmhost1"), make_host("vmhost2")]
    return make_vm(hosts[0], pool=make_pool("vmstorage", *hosts))


def test_it_works(admin: User, vm: Vm) -> None:
    found = call(admin, "GET", "/vms/").json()
    assert found["count"] == 1
    assert found["items"][0]["uuid"] == str(vm.uuid)
    assert found["items"][0]["state"] == "running"


def test_without_token_401_as_problem() -> None:
    answer = call(None, "GET", "/vms/")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 401


def test_expired_token(admin: User) -> None:
    _token, secret = ApiToken.make(admin, "old", timezone.now() - timedelta(seconds=1))
    assert Client().get(f"{BASE}/vms/", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_token_of_a_disabled_person(admin: User) -> None:
    _token, secret = ApiToken.make(admin, "x")
    User.objects.update(is_active=False)
    assert Client().get(f"{BASE}/vms/", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_token_is_a_digest_at_rest(admin: User) -> None:
    token, secret = ApiToken.make(admin, "x")
    assert secret not in token.digest
    assert len(token.digest) == 64


def test_session_needs_csrf(admin: User, vm: Vm) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    assert client.get(f"{BASE}/vms/").status_code == 200
    assert client.post(f"{BASE}/vms/{vm.uuid}/actions/pause").status_code == 403
    assert not Job.objects.exists()


def test_one_vm(admin: User, vm: Vm) -> None:
    assert call(admin, "GET", f"/vms/{vm.uuid}").json()["hardware"]["disks"][0]["target"] == "vda"


def test_a_lab_user_sees_only_what_is_theirs(lab_user: User, vm: Vm) -> None:
    assert call(lab_user, "GET", "/vms/").json()["count"] == 0
    assert call(lab_user, "GET", f"/vms/{vm.uuid}").status_code == 404
    assert call(lab_user, "POST", f"/vms/{vm.uuid}/actions/pause").status_code == 404
    assert call(lab_user, "GET", "/hosts/").status_code == 404
    assert call(lab_user, "GET", "/pools/").status_code == 404
    assert call(lab_user, "POST", "/vms/", {"name": "mine"}).status_code == 404
    Vm.objects.update(owner=lab_user)
    assert call(lab_user, "GET", f"/vms/{vm.uuid}").status_code == 200
    assert call(lab_user, "POST", f"/vms/{vm.uuid}/migrate", {}).status_code == 403


def test_action_makes_a_job(admin: User, vm: Vm) -> None:
    answer = call(admin, "POST", f"/vms/{vm.uuid}/actions/pause")
    assert answer.status_code == 202
    job = Job.objects.get(pk=answer.json()["id"])
    assert (job.operation, job.target_key, job.user) == ("vms.pause", str(vm.uuid), admin)


def test_refusal_is_409_with_its_reason(admin: User, vm: Vm) -> None:
    answer = call(admin, "POST", f"/vms/{vm.uuid}/actions/start")
    assert answer.status_code == 409
    assert "running" in answer.json()["detail"]
    assert not Job.objects.exists()


def test_refusal_names_its_field(admin: User, vm: Vm) -> None:
    answer = call(admin, "POST", f"/vms/{vm.uuid}/migrate", {"host": vm.host_id})
    assert (answer.status_code, answer.json()["field"]) == (409, "host")


def test_unknown_action_and_vm(admin: User, vm: Vm) -> None:
    assert call(admin, "POST", f"/vms/{vm.uuid}/actions/explode").status_code == 404
    assert call(admin, "GET", f"/vms/{uuid4()}").status_code == 404


@pytest.mark.parametrize("body", [{}, {"name": 7}, {"name": "x", "memory_bytes": "lots"}, {"name": "x", "nics": "br0"}])
def test_malformed_wish_is_422(admin: User, body: dict[str, Any]) -> None:
    answer = call(admin, "POST", "/vms/", body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize("size", [0, -1, 10**18])
@pytest.mark.parametrize("name", ["memory_bytes", "vcpus"])
def test_sizes_out_of_range_are_refused(admin: User, vm: Vm, name: str, size: int) -> None:
    answer = call(admin, "POST", "/vms/", {"name": "x", "disk_bytes": 10**9, name: size})
    assert answer.status_code == 409, answer.content
    assert not Job.objects.exists()


def test_destinations(admin: User, vm: Vm) -> None:
    found = call(admin, "GET", f"/vms/{vm.uuid}/destinations").json()
    assert [(one["name"], one["is_possible"]) for one in found] == [("vmhost2", True)]


def test_jobs(admin: User, lab_user: User, vm: Vm) -> None:
    job = call(admin, "POST", f"/vms/{vm.uuid}/actions/pause").json()
    assert call(admin, "GET", f"/jobs/{job['id']}").json()["lines"] == []
    assert call(lab_user, "GET", f"/jobs/{job['id']}").status_code == 404
    assert call(admin, "GET", "/jobs/?state=queued").json()["count"] == 1
    assert call(admin, "POST", f"/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert call(admin, "POST", f"/jobs/{job['id']}/cancel").status_code == 409


def test_docs_need_a_login(admin: User, client: Client) -> None:
    assert client.get(f"{BASE}/docs").status_code == 302
    client.force_login(admin)
    page = client.get(f"{BASE}/docs")
    assert page.status_code == 200
    assert b"swagger" in page.content


def test_every_call_is_described(admin: User) -> None:
    schema = call(admin, "GET", "/openapi.json").json()
    assert len(schema["paths"]) >= 14
    for path, verbs in schema["paths"].items():
        for verb, about in verbs.items():
            assert about["summary"], (path, verb)


def test_a_call_that_does_not_exist(admin_client: Client) -> None:
    answer = admin_client.get("/api/v1/nothing")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert admin_client.get("/nothing").headers["Content-Type"].startswith("text/html")
