"""Hosts and networks by the API: the same steps, the same refusals as on the pages."""

from typing import Any

import pytest

from access.models import User
from hosts.models import Host, Network
from jobs import secrets
from jobs.models import Job
from tests.api.kit import call
from tests.factories import make_host, make_network, make_vm
from virt.target import HostKey

pytestmark = pytest.mark.django_db
KEY = ["ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIIQkbK+7SxNSWkYx8vAh0aQ7uXqUVq7tSDFZr5o8vZ1P"]
OTHER = ["ssh-rsa", "AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7"]


def job_of(answer: Any) -> Job:
    assert answer.status_code == 202, answer.content
    return Job.objects.get(pk=answer.json()["id"])


@pytest.fixture
def new() -> Host:
    return make_host("new", transport="ssh", is_managed=False, setup_step="keys", offered_keys=[KEY, OTHER])


def test_it_works(admin: User) -> None:
    job = job_of(call(admin, "POST", "/hosts/", {"address": "10.1.2.3", "name": "vmhost1"}))
    host = Host.objects.get()
    assert (job.operation, job.target_key, job.user) == ("hosts.probe", str(host.pk), admin)
    assert (host.name, host.port, host.username, host.is_managed, host.setup_step) == (
        "vmhost1",
        22,
        "root",
        False,
        "keys",
    )
    assert call(admin, "GET", "/hosts/").json() == []
    assert [one["id"] for one in call(admin, "GET", "/hosts/?managed=false").json()] == [host.pk]


def test_what_the_form_refuses_stands_beside_its_field(admin: User) -> None:
    make_host("vmhost1")
    answer = call(admin, "POST", "/hosts/", {"address": "a;reboot", "name": "VMHOST1", "port": 70000})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {one["field"] for one in answer.json()["errors"]} == {"address", "name", "port"}
    assert Host.objects.count() == 1
    assert not Job.objects.exists()


def test_fingerprints_are_shown_and_pinned_as_they_were_compared(admin: User, new: Host) -> None:
    setup = call(admin, "GET", f"/hosts/{new.pk}/setup").json()
    shown = [one["fingerprint"] for one in setup["offered"]]
    assert shown == [HostKey(*KEY).fingerprint, HostKey(*OTHER).fingerprint]
    assert (setup["step"], setup["pinned"]) == ("keys", [])
    for wrong in ([], shown[:1], [*shown, "SHA256:other"]):
        answer = call(admin, "POST", f"/hosts/{new.pk}/pin", {"fingerprints": wrong})
        assert (answer.status_code, answer.json()["field"]) == (409, "fingerprints")
    job = job_of(call(admin, "POST", f"/hosts/{new.pk}/pin", {"fingerprints": shown}))
    assert (job.operation, job.params) == ("hosts.pin", {"keys": [KEY, OTHER]})


def test_new_keys_of_a_host_of_the_cluster(admin: User) -> None:
    host = make_host("vmhost1", transport="ssh", host_keys=[KEY], offered_keys=[OTHER])
    shown = [HostKey(*OTHER).fingerprint]
    assert job_of(call(admin, "POST", f"/hosts/{host.pk}/pin", {"fingerprints": shown})).operation == "hosts.repin"


def test_a_password_is_in_no_row(admin: User, new: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    path, body = f"/hosts/{new.pk}/install-key", {"password": "correct horse"}
    kept: list[str] = []  # Redis itself is tried in test_secrets_lab

    def keep(value: str) -> str:
        kept.append(value)
        return f"reference-{len(value)}"

    monkeypatch.setattr(secrets, "put", keep)
    assert call(admin, "POST", path, body).status_code == 409  # not before the keys are pinned
    assert kept == []
    Host.objects.update(host_keys=[KEY])
    job = job_of(call(admin, "POST", path, body))
    assert job.params == {"secret": "reference-13"}
    answer = call(admin, "POST", path, {"password": "two\nlines"})
    assert (answer.status_code, answer.json()["field"]) == (422, "password")


def test_only_a_host_that_was_looked_over_is_accepted(admin: User, new: Host) -> None:
    path = f"/hosts/{new.pk}/actions/accept"
    assert "looked over" in call(admin, "POST", path).json()["detail"]
    Host.objects.update(setup_step="check", preflight_at="2026-11-21T10:00Z")
    assert job_of(call(admin, "POST", path)).operation == "hosts.accept"


def test_changing_one_thing_leaves_the_others(admin: User) -> None:
    host = make_host("vmhost1", transport="ssh", port=2222, username="ops")
    job = job_of(call(admin, "PATCH", f"/hosts/{host.pk}", {"name": "vmhost7"}))
    assert job.params == {
        "name": "vmhost7",
        "address": "vmhost1.test",
        "migration_address": "",
        "port": 2222,
        "username": "ops",
        "transport": "ssh",
    }


def test_removing_asks_for_the_name(admin: User) -> None:
    host = make_host("vmhost1")
    answer = call(admin, "DELETE", f"/hosts/{host.pk}", {"name": "vmhost2"})
    assert (answer.status_code, answer.json()["field"]) == (422, "name")
    job = job_of(call(admin, "DELETE", f"/hosts/{host.pk}", {"name": "vmhost1", "forget_vms": True}))
    assert (job.operation, job.params) == ("hosts.remove", {"remove_keys": True, "forget_vms": True})


def test_maintenance_and_evacuation(admin: User) -> None:
    host = make_host("vmhost1")
    job = job_of(call(admin, "POST", f"/hosts/{host.pk}/maintenance", {"on": True, "note": "new fan"}))
    assert job.params == {"on": True, "note": "new fan"}
    assert "No other host" in call(admin, "POST", f"/hosts/{host.pk}/evacuate").json()["detail"]
    make_host("vmhost2")
    assert job_of(call(admin, "POST", f"/hosts/{host.pk}/evacuate", {"include_off": True})).params == {
        "include_off": True
    }


@pytest.mark.parametrize("action", ["explode", "hosts.remove", "probe"])
def test_unknown_actions(admin: User, action: str) -> None:
    assert call(admin, "POST", f"/hosts/{make_host().pk}/actions/{action}").status_code == 404


def test_operators_look_and_do_not_touch(operator: User, new: Host) -> None:
    assert call(operator, "GET", f"/hosts/{new.pk}").status_code == 200
    for method, path, body in (
        ("POST", "/hosts/", {"address": "bad address"}),
        ("GET", f"/hosts/{new.pk}/setup", None),
        ("POST", f"/hosts/{new.pk}/install-key", {"password": "x"}),
        ("DELETE", f"/hosts/{new.pk}", {"name": "wrong"}),
    ):
        assert call(operator, method, path, body).status_code == 403, path
    assert not Job.objects.exists()


def test_a_network_on_two_hosts(admin: User) -> None:
    hosts = [make_host("vmhost1"), make_host("vmhost2")]
    wish = {"name": "lan", "cidr": "192.168.77.0/24", "hosts": [host.pk for host in hosts]}
    job = job_of(call(admin, "POST", "/networks/", wish))
    network = Network.objects.get()
    assert (job.operation, job.params) == ("networks.change", {"verb": "define", "hosts": wish["hosts"]})
    assert network.spec["cidr"] == "192.168.77.1/24"
    again = call(admin, "POST", "/networks/", {**wish, "cidr": "192.168.77.0/25"})
    assert {one["field"] for one in again.json()["errors"]} == {"name", "cidr"}
    found = call(admin, "GET", f"/networks/{network.pk}").json()
    assert (found["name"], found["mode"], found["presences"]) == ("lan", "nat", [])


def test_cutting_vms_off_must_be_said(admin: User) -> None:
    host = make_host("vmhost1")
    network = make_network("default", host)
    nic = {"mac": "52:54:00:00:00:01", "kind": "network", "source": "default"}
    make_vm(host, hardware={"disks": [], "nics": [nic], "domain_type": "qemu"})
    path = f"/networks/{network.pk}/actions/stop"
    answer = call(admin, "POST", path)
    assert (answer.status_code, answer.json()["field"]) == (409, "force")
    assert job_of(call(admin, "POST", path, {"force": True})).params["verb"] == "stop"
    assert call(admin, "POST", f"/networks/{network.pk}/actions/explode").status_code == 404
