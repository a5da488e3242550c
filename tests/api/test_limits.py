"""How often one may call, and how much one may pile up."""

from typing import Any

import pytest
import redis
from django.test import Client

from access.models import User
from jobs.models import Job
from selfservice.models import Request
from storage.models import Upload
from tests.api.kit import BASE, call
from tests.factories import make_host, make_pool, make_vm
from tests.selfservice.kit import make_offer
from ui import counting
from vms.models import ConsoleSession

pytestmark = pytest.mark.django_db


@pytest.fixture
def counted(queue: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> "redis.Redis":
    """Redis is there and empty, and it stays the same minute."""
    monkeypatch.setattr(counting, "_away_until", 0.0)
    monkeypatch.setattr(counting, "time", lambda: 1_800_000_030.0)
    return queue


def too_many(answer: Any) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (429, "application/problem+json"), answer.content
    assert answer.headers["Retry-After"] == str(answer.json()["retry_after_s"]) == "30"


def test_a_person_with_all_tokens_together(
    counted: "redis.Redis", admin: User, operator: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_CALLS_PER_MINUTE = 3
    assert [call(admin, "GET", "/vms/").status_code for _n in range(3)] == [200] * 3  # each with a token of its own
    too_many(call(admin, "GET", "/vms/"))
    too_many(call(admin, "POST", "/hosts/trust"))
    assert call(operator, "GET", "/vms/").status_code == 200
    assert {counted.ttl(key) for key in counted.scan_iter("drover:calls:*")} == {120}
    monkeypatch.setattr(counting, "time", lambda: 1_800_000_061.0)
    assert call(admin, "GET", "/vms/").status_code == 200


def test_strangers_by_address(counted: "redis.Redis", admin: User, settings: Any) -> None:
    settings.API_STRANGERS_PER_MINUTE = 2
    wrong = {"Authorization": "Bearer drover_guess"}
    assert [Client().get(f"{BASE}/vms/", headers=wrong).status_code for _n in range(2)] == [401] * 2
    too_many(Client().get(f"{BASE}/vms/", headers=wrong))
    assert call(admin, "GET", "/vms/").status_code == 200  # from the same address
    assert Client(REMOTE_ADDR="192.0.2.9").get(f"{BASE}/vms/").status_code == 401


def test_without_redis_nobody_is_held_back(admin: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_away_until", 0.0)
    settings.REDIS_URL, settings.API_CALLS_PER_MINUTE = "unix:///nothing/there.sock", 1
    assert [call(admin, "GET", "/vms/").status_code for _n in range(3)] == [200] * 3
    assert counting._away_until > 0


def refused(answer: Any, *words: str) -> None:
    assert answer.status_code == 409, answer.content
    assert all(word in answer.json()["detail"] for word in words), answer.json()


def test_waiting_jobs(admin: User, operator: User, settings: Any) -> None:
    settings.MOST_WAITING_JOBS = 2
    vms = [make_vm(None if n else make_host("vmhost1"), f"web-{n}") for n in range(3)]
    for vm in vms:
        vm.host, vm.observed_state = vms[0].host, "running"
        vm.save(update_fields=["host", "observed_state"])
    paths = [f"/vms/{vm.uuid}/actions/pause" for vm in vms]
    assert [call(operator, "POST", path).status_code for path in paths[:2]] == [202, 202]
    refused(call(operator, "POST", paths[2]), "2 jobs")
    assert call(admin, "POST", paths[2]).status_code == 202
    Job.objects.filter(user=operator).update(state="running")
    assert call(operator, "POST", f"/vms/{vms[2].uuid}/actions/reset").status_code == 202


def test_uploads(operator: User, queue: "redis.Redis", settings: Any) -> None:
    settings.MOST_UPLOADS = 1
    pool = make_pool("vms", make_host("vmhost1"))
    wish = {"name": "mine", "version": "1", "pool": pool.pk, "size_bytes": 6}
    assert call(operator, "POST", "/uploads/", wish).status_code == 201
    refused(call(operator, "POST", "/uploads/", {**wish, "version": "2"}), "1 of your uploads")
    assert Upload.objects.count() == 1
    Upload.objects.all().delete()
    assert call(operator, "POST", "/uploads/", {**wish, "version": "2"}).status_code == 201


def test_requests_nobody_decided(admin: User, lab_user: User, settings: Any) -> None:
    settings.MOST_OPEN_REQUESTS = 1
    wish = {"offer": make_offer(admin).pk, "version": 1, "reason": "course"}
    assert call(lab_user, "POST", "/requests", {**wish, "pattern": "a"}).status_code == 201
    refused(call(lab_user, "POST", "/requests", {**wish, "pattern": "b"}), "1 of your requests")
    Request.objects.update(state="rejected")
    assert call(lab_user, "POST", "/requests", {**wish, "pattern": "b"}).status_code == 201


def test_consoles(admin: User, admin_client: Client, settings: Any) -> None:
    settings.MOST_CONSOLES = 2
    vm = make_vm(make_host("vmhost1"))
    tickets = [admin_client.post(f"/vms/{vm.uuid}/console/ticket") for _n in range(3)]
    assert [one.status_code for one in tickets] == [200, 200, 409]
    assert "2 consoles" in tickets[2].json()["error"]
    ConsoleSession.objects.update(expires_at="2020-01-01T00:00Z")
    assert admin_client.post(f"/vms/{vm.uuid}/console/ticket").status_code == 200


def test_no_limit(admin: User, settings: Any) -> None:
    settings.MOST_WAITING_JOBS = 0
    vm = make_vm(make_host("vmhost1"))
    assert call(admin, "POST", f"/vms/{vm.uuid}/actions/pause").status_code == 202
