"""Adding a host, step by step, as far as it goes without a network: the lab does the rest (test_lab.py)."""

import json
import socket
from collections.abc import Callable

import pytest
from django.test import Client

from access.models import User
from hosts.models import Host
from hosts.operations.onboarding import AcceptHost, InstallKey, PinKeys, PinNewKeys, ProbeHost, TryLogin
from hosts.operations.preflight import PreflightHost
from hosts.states import Level, SetupStep
from jobs import engine
from jobs.errors import Refused
from jobs.models import Job
from jobs.states import State
from tests.factories import make_host
from tests.hosts.conftest import Do

KEY = ["ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIAIkz10KbyEncxwjCx0WESDALakwFVUD/slA/KSNDI08"]
OTHER = ["ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIJ93NjVYHH07sOaTP2L6xB5ApbOVE1xQNhawF0NIjESx"]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def new(db: None) -> Host:
    return Host.objects.create(name="new", address="127.0.0.1", is_managed=False, setup_step=SetupStep.KEYS)


def test_it_works(admin_client: Client) -> None:
    answer = admin_client.post("/hosts/add", {"address": "10.47.100.3", "name": "vmhost1"})
    host = Host.objects.get(name="vmhost1")
    assert answer.headers["Location"] == f"/hosts/{host.pk}/setup"
    assert (host.is_managed, host.setup_step, host.observed_state) == (False, SetupStep.KEYS, "new")
    assert Job.objects.get().operation == "hosts.probe"


def test_with_htmx_the_browser_goes_to_the_steps(admin_client: Client) -> None:
    answer = admin_client.post("/hosts/add", {"address": "10.47.100.3"}, headers=HTMX)
    assert answer.headers["HX-Redirect"] == f"/hosts/{Host.objects.get().pk}/setup"


def test_what_is_wrong_stands_beside_the_field(admin_client: Client) -> None:
    answer = admin_client.post("/hosts/add", {"address": "<b>"}, headers=HTMX)
    assert answer.status_code == 422
    assert "field-bad" in answer.content.decode()
    assert not Host.objects.exists()
    assert not Job.objects.exists()


def test_a_host_by_tls_goes_straight_to_the_checks(admin_client: Client) -> None:
    admin_client.post("/hosts/add", {"address": "10.47.100.3", "transport": "tls"})
    assert Host.objects.get().setup_step == SetupStep.CHECK
    assert Job.objects.get().operation == "hosts.preflight"


def test_nobody_answers(do: Do, new: Host) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        Host.objects.filter(pk=new.pk).update(port=nobody.getsockname()[1])
        new.refresh_from_db()
        job = do(ProbeHost(new))
    assert job.state == State.FAILED
    assert "Nothing answers SSH" in job.error
    new.refresh_from_db()
    assert new.offered_keys == []


def test_only_keys_that_were_shown_are_pinned(new: Host, admin: User) -> None:
    new.offered_keys = [KEY]
    for keys in ([], [OTHER], [KEY, OTHER]):
        with pytest.raises(Refused, match="compare again"):
            engine.enqueue(PinKeys(new, {"keys": keys}), user=admin)


def test_the_page_pins_what_it_showed(admin_client: Client, new: Host) -> None:
    new.offered_keys = [KEY]
    new.save()
    page = admin_client.get(f"/hosts/{new.pk}/setup").content.decode()
    fingerprint = new.offered[0].fingerprint
    assert fingerprint in page
    new.offered_keys = [OTHER]  # the host showed another one meanwhile
    new.save()
    answer = admin_client.post(f"/hosts/{new.pk}/setup/pin", {"fingerprint": fingerprint})
    assert answer.status_code == 422
    assert not Job.objects.exists()
    answer = admin_client.post(f"/hosts/{new.pk}/setup/pin", {"fingerprint": new.offered[0].fingerprint})
    assert answer.status_code == 302
    assert Job.objects.get().params == {"keys": [OTHER]}


def test_no_password_before_the_fingerprint_was_compared(new: Host, admin: User) -> None:
    with pytest.raises(Refused, match="Compare the fingerprint first"):
        engine.enqueue(InstallKey(new, {"secret": "x"}), user=admin)


def test_a_password_never_reaches_a_row_or_a_page(
    admin_client: Client, new: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []

    def keep(value: str) -> str:
        kept.append(value)
        return "reference"

    monkeypatch.setattr("jobs.secrets.put", keep)
    new.host_keys, new.setup_step = [KEY], SetupStep.LOGIN
    new.save()
    answer = admin_client.post(f"/hosts/{new.pk}/setup/install-key", {"password": "s3cret&word"}, headers=HTMX)
    assert kept == ["s3cret&word"]
    assert "s3cret" not in answer.content.decode()
    assert "s3cret" not in json.dumps(list(Job.objects.values("params", "title", "commands", "result")))


def test_without_redis_the_password_field_says_so(admin_client: Client, new: Host) -> None:
    new.host_keys, new.setup_step = [KEY], SetupStep.LOGIN
    new.save()
    answer = admin_client.post(f"/hosts/{new.pk}/setup/install-key", {"password": "s3cret"}, headers=HTMX)
    assert answer.status_code == 422
    assert "Redis does not answer" in answer.content.decode()
    assert not Job.objects.exists()


def test_the_key_to_copy_is_shown_with_its_command(admin_client: Client, new: Host) -> None:
    new.host_keys, new.setup_step, new.public_key = [KEY], SetupStep.LOGIN, "ssh-ed25519 AAAAB drover"
    new.save()
    page = admin_client.get(f"/hosts/{new.pk}/setup").content.decode()
    assert "ssh-ed25519 AAAAB drover" in page
    assert "authorized_keys" in page


def test_looking_a_host_over(do: Do, simulated: Callable[..., Host]) -> None:
    host = simulated("alpha", is_managed=False, setup_step=SetupStep.CHECK)
    job = do(PreflightHost(host))
    assert (job.state, job.result["problems"]) == (State.SUCCEEDED, 0), job.error
    host.refresh_from_db()
    assert {check["key"] for check in host.preflight} >= {"libvirt", "memory"}
    assert host.libvirt_version
    assert host.cpus == 8


def test_it_joins_the_cluster_when_a_person_says_so(do: Do, simulated: Callable[..., Host], admin: User) -> None:
    host = simulated("alpha", is_managed=False, setup_step=SetupStep.CHECK)
    do(PreflightHost(host))
    host.refresh_from_db()
    assert do(AcceptHost(host), admin).state == State.SUCCEEDED
    host.refresh_from_db()
    assert (host.is_managed, host.setup_step) == (True, "")


def test_not_before_it_was_looked_over(new: Host, admin: User) -> None:
    with pytest.raises(Refused, match="not been looked over"):
        engine.enqueue(AcceptHost(new), user=admin)


def test_not_with_a_problem(db: None, admin: User) -> None:
    check = {"key": "libvirt", "title": "libvirt", "level": Level.PROBLEM, "text": "", "cure": "", "command": ""}
    bad = make_host("bad", is_managed=False, setup_step="check", preflight=[check], preflight_at="2026-11-21T10:00Z")
    with pytest.raises(Refused, match="First to be solved: libvirt"):
        engine.enqueue(AcceptHost(bad), user=admin)


def test_not_the_same_machine_twice(db: None, admin: User) -> None:
    one = make_host("one")
    two = make_host("two", uuid=one.uuid, is_managed=False, setup_step="check", preflight_at="2026-11-21T10:00Z")
    with pytest.raises(Refused, match="same machine as one"):
        engine.enqueue(AcceptHost(two), user=admin)


def test_a_host_of_the_cluster_goes_through_no_step(admin_client: Client, admin: User) -> None:
    host = make_host("one", offered_keys=[KEY])
    with pytest.raises(Refused, match="set up already"):
        engine.enqueue(PinKeys(host, {"keys": [KEY]}), user=admin)
    for step in ("probe", "pin", "install-key", "try-login", "preflight", "accept"):
        assert admin_client.post(f"/hosts/{host.pk}/setup/{step}").status_code == 404
    assert admin_client.get(f"/hosts/{host.pk}/setup").headers["Location"] == host.get_absolute_url()


def test_a_changed_host_key_is_pinned_only_as_it_was_compared(db: None, admin: User) -> None:
    host = make_host("one", transport="ssh", host_keys=[KEY], offered_keys=[OTHER])
    assert host.shows_other_keys
    with pytest.raises(Refused, match="compare again"):
        engine.enqueue(PinNewKeys(host, {"keys": [KEY]}), user=admin)
    assert engine.enqueue(PinNewKeys(host, {"keys": [OTHER]}), user=admin).title.startswith("Pin the new SSH keys")


def test_a_host_that_does_not_answer_keeps_its_step(do: Do, new: Host) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        Host.objects.filter(pk=new.pk).update(port=nobody.getsockname()[1], host_keys=[KEY], setup_step="login")
        new.refresh_from_db()
        job = do(TryLogin(new))
    assert job.state == State.FAILED
    assert job.error == "The host does not answer."
    new.refresh_from_db()
    assert new.setup_step == SetupStep.LOGIN
