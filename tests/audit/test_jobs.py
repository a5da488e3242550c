"""Every job: asked for, refused, cancelled, ended."""

from typing import Any

import pytest
from django.test import Client

from access.models import User
from audit.models import Entry
from jobs import engine, waiting, work
from jobs.models import Job
from tests.factories import make_host, make_vm
from tests.jobs.operations import Bad
from vms.models import Vm

pytestmark = pytest.mark.django_db
HERE = "10.1.1.1"


@pytest.fixture(autouse=True)
def _here(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run only when the test says so, in its own thread."""
    for module in (waiting, work, engine):
        monkeypatch.setattr(module, "dispatch", lambda job_ids, **more: None)
    monkeypatch.setattr(work, "_start_heart", lambda: None)


@pytest.fixture
def vm() -> Vm:
    return make_vm(make_host())


def client_of(user: User) -> Client:
    client = Client(REMOTE_ADDR=HERE)
    client.force_login(user)
    Entry.objects.all().delete()
    return client


def told() -> list[tuple[Any, ...]]:
    return list(Entry.objects.order_by("id").values_list("action", "who", "result", "label", "address", "way"))


def test_it_works(operator: User, vm: Vm) -> None:
    client_of(operator).post(f"/vms/{vm.uuid}/act/pause")
    assert told() == [("vms.pause", "oskar", "accepted", "web-07", HERE, "page")]
    entry, job = Entry.objects.get(), Job.objects.get()
    assert (entry.text, entry.job_number, entry.kind, entry.key) == ("Pause web-07", job.pk, "vm", str(vm.uuid))


def test_refused(operator: User, vm: Vm) -> None:
    client_of(operator).post(f"/vms/{vm.uuid}/act/resume", headers={"HX-Request": "true"})
    assert told() == [("vms.resume", "oskar", "refused", "web-07", HERE, "page")]
    assert "Not possible" in Entry.objects.get().reason or Entry.objects.get().reason
    assert not Job.objects.exists()


def test_by_api(operator: User, vm: Vm) -> None:
    client_of(operator).post(f"/api/v1/vms/{vm.uuid}/actions/pause", {}, content_type="application/json")
    assert [row[-1] for row in told()] == ["api"]


def test_how_it_ended(admin: User) -> None:
    job = engine.enqueue(Bad(), user=admin)
    work.run(job.pk)
    assert [row[:3] for row in told() if row[0] == Bad.name] == [
        (Bad.name, "ada", "accepted"),
        (Bad.name, "ada", "failed"),
    ]
    job.refresh_from_db()
    last = Entry.objects.order_by("id").last()
    assert last is not None
    assert (last.reason, last.job_number, last.way) == (job.error, job.pk, "drover")


def test_cancelled_before_it_began(operator: User, vm: Vm) -> None:
    client = client_of(operator)
    client.post(f"/vms/{vm.uuid}/act/pause")
    client.post(f"/jobs/{Job.objects.get().pk}/cancel")
    assert [(row[0], row[2]) for row in told()] == [
        ("vms.pause", "accepted"),
        ("jobs.cancel", "ok"),
        ("vms.pause", "cancelled"),
    ]


def test_an_entry_and_its_job_stay_or_go_together(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(job: Job) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(engine.record, "accepted", broken)
    with pytest.raises(ZeroDivisionError):
        engine.enqueue(Bad(), user=admin)
    assert not Job.objects.exists()


def test_parameters_without_secrets(admin: User) -> None:
    engine.enqueue(Bad(None, {"names": ["a"], "password": "hush", "secret": "k3y", "text": "x" * 9999}), user=admin)
    details = Entry.objects.get(action=Bad.name).details
    assert (details["names"], details["password"], len(details["text"])) == (["a"], "***", 500)
    assert "secret" not in details
