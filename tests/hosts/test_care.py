"""Name and address, maintenance, known to be off, removing, and the same of many hosts: the common CPU."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from access.models import User
from hosts import cpu
from hosts.models import ClusterCpu, Host
from hosts.operations.care import EditHost, SetMaintenance
from hosts.operations.encryption import SetUpEncryption
from hosts.operations.trust import TrustHosts
from hosts.states import HostState, SetupStep
from jobs import engine
from jobs.errors import Refused
from jobs.models import Job
from jobs.operations import by_name
from jobs.states import State
from storage.models import Image, Pool
from tests.factories import make_host, make_vm
from tests.hosts.conftest import Do
from vms.models import Presence, Vm

HTMX = {"HX-Request": "true"}


def test_a_new_name(do: Do, admin: User) -> None:
    host = make_host("old", host_keys=[["ssh-ed25519", "AAAA"]])
    job = do(EditHost(host, {"name": "new"}), admin)
    assert job.result == {"changed": ["name"]}
    host.refresh_from_db()
    assert (host.name, host.host_keys) == ("new", [["ssh-ed25519", "AAAA"]])


def test_a_name_that_is_taken(do: Do, admin: User) -> None:
    host = make_host("one")
    make_host("two")
    with pytest.raises(Refused) as refused:
        engine.enqueue(EditHost(host, {"name": "Two"}), user=admin)
    assert refused.value.field == "name"


def test_a_new_address_keeps_the_pinned_keys(do: Do, admin: User) -> None:
    host = make_host("one", host_keys=[["ssh-ed25519", "AAAA"]])
    do(EditHost(host, {"address": "10.0.0.9", "port": 22, "username": "root", "transport": "ssh"}), admin)
    host.refresh_from_db()
    assert (host.address, host.host_keys) == ("10.0.0.9", [["ssh-ed25519", "AAAA"]])


def test_a_new_address_of_a_host_being_added_begins_again(do: Do, admin: User) -> None:
    keys = [["ssh-ed25519", "AAAA"]]
    host = make_host("one", transport="ssh", is_managed=False, setup_step="check", host_keys=keys, offered_keys=keys)
    do(EditHost(host, {"address": "10.0.0.9"}), admin)
    host.refresh_from_db()
    assert (host.setup_step, host.host_keys, host.offered_keys) == (SetupStep.KEYS, [], [])
    assert Job.objects.filter(operation="hosts.probe").exists()


def test_the_form_edits(admin_client: Client) -> None:
    host = make_host("one", transport="ssh", address="10.0.0.1", port=22)
    url = f"/hosts/{host.pk}/edit"
    assert admin_client.post(url, {"name": "one", "address": "bad name"}, headers=HTMX).status_code == 422
    answer = admin_client.post(url, {"name": "uno", "address": "10.0.0.1", "transport": "ssh"}, headers=HTMX)
    assert answer.status_code == 204
    assert Job.objects.get().params["name"] == "uno"


def test_maintenance_on_and_off(do: Do, admin: User) -> None:
    host = make_host("one")
    job = do(SetMaintenance(host, {"on": True, "note": "new disks"}), admin)
    assert job.title == "Begin maintenance of one"
    host.refresh_from_db()
    assert (host.maintenance, host.maintenance_note) == (True, "new disks")
    do(SetMaintenance(host, {"on": False}), admin)
    host.refresh_from_db()
    assert (host.maintenance, host.maintenance_note) == (False, "")


def test_maintenance_from_the_page(admin_client: Client) -> None:
    host = make_host("one")
    answer = admin_client.post(f"/hosts/{host.pk}/maintenance", {"note": "x"}, headers=HTMX)
    assert answer.status_code == 204
    assert Job.objects.get().operation == "hosts.maintenance"


def test_maintenance_with_evacuation(admin_client: Client) -> None:
    host = make_host("one")
    make_host("two")
    admin_client.post(f"/hosts/{host.pk}/maintenance", {"note": "x", "evacuate": "on"}, headers=HTMX)
    assert Job.objects.get().operation == "hosts.evacuate"


def test_with_no_other_host_evacuation_is_refused_in_the_dialog(admin_client: Client) -> None:
    host = make_host("one")
    answer = admin_client.post(f"/hosts/{host.pk}/evacuate", headers=HTMX)
    assert answer.status_code == 422
    assert "No other host is up" in answer.content.decode()
    assert not Job.objects.exists()


def test_a_host_that_is_up_is_not_declared_off(admin: User) -> None:
    with pytest.raises(Refused, match="Not possible while it is up"):
        engine.enqueue(by_name("hosts.declare_off")(make_host("one")), user=admin)


def test_a_host_that_answers_after_all_is_not_declared_off(do: Do, simulated: Callable[..., Host], admin: User) -> None:
    host = simulated("alpha", observed_state=HostState.UNREACHABLE)
    job = do(by_name("hosts.declare_off")(host), admin)
    assert (job.state, job.error) == (State.FAILED, "alpha answers: it is not off.")


def test_a_persons_word_and_taking_it_back(do: Do, simulated: Callable[..., Host], admin: User, tmp_path: Any) -> None:
    host = simulated("alpha", observed_state=HostState.UNREACHABLE)
    vm = make_vm(host)
    (tmp_path / "alpha.xml").unlink()
    assert do(by_name("hosts.declare_off")(host), admin).state == State.SUCCEEDED
    host.refresh_from_db()
    assert (host.observed_state, host.is_unknown) == (HostState.FENCED, False)
    assert Vm.objects.get(pk=vm.pk).state == "off"
    assert do(by_name("hosts.declare_on")(host), admin).state == State.SUCCEEDED
    host.refresh_from_db()
    assert host.observed_state == HostState.UNREACHABLE
    assert Vm.objects.get(pk=vm.pk).state == "unknown"


def test_the_name_must_be_typed(admin_client: Client) -> None:
    host = make_host("one", observed_state=HostState.UNREACHABLE)
    for page in ("declare-off", "remove"):
        answer = admin_client.post(f"/hosts/{host.pk}/{page}", {"name": "other"}, headers=HTMX)
        assert answer.status_code == 422
        assert "not the name of the host" in answer.content.decode()
    assert not Job.objects.exists()


def test_removing_takes_only_the_record(do: Do, admin: User) -> None:
    host = make_host("one")
    vm = make_vm(host)
    job = do(by_name("hosts.remove")(host, {}), admin)
    assert (job.state, job.result["vms"]) == (State.SUCCEEDED, [vm.name])
    assert not Host.objects.exists()
    vm.refresh_from_db()
    assert (vm.host, vm.state) == (None, "unknown")


def test_removing_with_its_vms(do: Do, admin: User) -> None:
    host = make_host("one")
    make_vm(host)
    other = make_vm(make_host("two"), "stays")
    do(by_name("hosts.remove")(host, {"forget_vms": True}), admin)
    assert list(Vm.objects.all()) == [other]
    assert Presence.objects.count() == 1


def test_removing_forgets_the_images_that_only_it_has(do: Do, admin: User) -> None:
    host, pool = make_host("one"), Pool.objects.create(name="local", kind="dir", target_path="/srv/local")
    stays = Image.objects.create(name="tiny", version="1", pool=pool, volume_name="t", state="ready")
    goes = Image.objects.create(name="tiny", version="2", pool=pool, volume_name="u", host=host, state="importing")
    with pytest.raises(Refused, match="tiny 2 is being imported"):
        do(by_name("hosts.remove")(host, {}), admin)
    Image.objects.filter(pk=goes.pk).update(state="ready")
    job = do(by_name("hosts.remove")(host, {}), admin)
    assert (job.state, job.result["images"]) == (State.SUCCEEDED, ["tiny 2"])
    assert list(Image.objects.all()) == [stays]


def test_removing_from_the_page_leads_to_the_list(admin_client: Client) -> None:
    host = make_host("one")
    answer = admin_client.post(f"/hosts/{host.pk}/remove", {"name": "one"}, headers=HTMX)
    assert answer.headers["HX-Redirect"] == "/hosts/"


def test_giving_up_needs_no_name(admin_client: Client) -> None:
    host = make_host("one", is_managed=False, setup_step="keys")
    answer = admin_client.post(f"/hosts/{host.pk}/remove", {"remove_keys": ""})
    assert answer.headers["Location"] == "/hosts/"
    assert Job.objects.get().operation == "hosts.remove"


def test_trust_needs_two(admin: User) -> None:
    make_host("one", transport="ssh")
    with pytest.raises(Refused, match="two hosts"):
        engine.enqueue(TrustHosts(), user=admin)


def test_encryption_needs_two(admin: User) -> None:
    make_host("one", transport="ssh")
    with pytest.raises(Refused, match="two hosts"):
        engine.enqueue(SetUpEncryption(), user=admin)


def test_encryption_is_a_job(admin_client: Client) -> None:
    make_host("one", transport="ssh"), make_host("two", transport="ssh")
    assert "/hosts/encryption" in admin_client.get("/hosts/cluster").content.decode()
    assert admin_client.post("/hosts/encryption", headers=HTMX).status_code == 204
    assert Job.objects.get().operation == "hosts.encryption"


def test_trust_leaves_this_machine_out_until_others_can_reach_it(admin: User, admin_client: Client) -> None:
    here = make_host("here", transport="local", address="")
    make_host("one", transport="ssh")
    with pytest.raises(Refused, match="two hosts"):
        engine.enqueue(TrustHosts(), user=admin)
    assert "here takes no part" in admin_client.get("/hosts/cluster").content.decode()
    Host.objects.filter(pk=here.pk).update(address="192.0.2.7")
    engine.enqueue(TrustHosts(), user=admin)
    assert "here takes no part" not in admin_client.get("/hosts/cluster").content.decode()


def test_reading_everything_anew(do: Do, simulated: Callable[..., Host], admin: User) -> None:
    host = simulated("alpha")
    assert do(by_name("hosts.refresh")(host), admin).state == State.SUCCEEDED
    host.refresh_from_db()
    assert host.cpus == 8
    assert Vm.objects.filter(host=host).exists() is False


def test_unknown_buttons(admin_client: Client) -> None:
    host = make_host("one")
    assert admin_client.post(f"/hosts/{host.pk}/do/explode").status_code == 404


CPU = "<cpu mode='custom' match='exact'><model fallback='forbid'>EPYC</model></cpu>"


def test_the_common_cpu_is_stale_when_a_host_comes_or_changes(db: None) -> None:
    assert not cpu.is_stale()
    host = make_host("one", transport="ssh", cpu_xml=CPU, has_kvm=True)
    assert cpu.is_stale()
    ClusterCpu.objects.create(
        arch="x86_64", domain_type="kvm", model="EPYC", inputs_digest=cpu.digest([host]), xml=CPU,
        features=[["require", "x2apic"]],
    )  # fmt: skip
    assert not cpu.is_stale()
    common = cpu.common_cpu("kvm")
    assert common is not None
    assert (common["model"], common["features"]) == ("EPYC", [["require", "x2apic"]])
    assert cpu.common_cpu("qemu") is None
    Host.objects.update(cpu_xml=CPU.replace("EPYC", "EPYC-Rome"))
    assert cpu.is_stale()


def test_it_is_asked_for_once(db: None) -> None:
    make_host("one", transport="ssh", cpu_xml=CPU)
    cpu.refresh_if_stale()
    cpu.refresh_if_stale()
    assert Job.objects.filter(operation="hosts.common_cpu").count() == 1


def test_hosts_being_added_and_simulated_ones_do_not_count(db: None) -> None:
    make_host("new", transport="ssh", cpu_xml=CPU, is_managed=False)
    make_host("simulated", cpu_xml=CPU)
    assert cpu.inputs() == {}


def test_no_host_answers(do: Do, db: None) -> None:
    make_host("one", transport="tcp", address="127.0.0.1", port=1, cpu_xml=CPU)
    job = do(by_name("hosts.common_cpu")())
    assert job.state == State.FAILED
    row = ClusterCpu.objects.get()
    assert (row.model, row.error) == ("", "None of the hosts answers.")
    assert cpu.is_stale()  # so that it is tried again when one does


def test_nobody_is_asked_while_nobody_can_answer(db: None) -> None:
    make_host("one", transport="ssh", cpu_xml=CPU, observed_state=HostState.UNREACHABLE)
    cpu.refresh_if_stale()
    assert not Job.objects.exists()
