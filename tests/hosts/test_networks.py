"""Networks on libvirt's simulated hosts: defined on all at once, with a result for each."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from access.models import User
from hosts import sync
from hosts.models import Host, Network
from hosts.operations.networks import ChangeNetwork
from hosts.states import HostState
from jobs import engine
from jobs.errors import Refused
from jobs.models import Job
from jobs.states import State
from tests.factories import make_vm
from tests.hosts.conftest import Do
from virt import networks as virt_networks
from virt.connection import connect
from virt.errors import translated

Make = Callable[..., Host]
SPEC = {"cidr": "10.99.0.1/24", "dhcp_start": "10.99.0.2", "dhcp_end": "10.99.0.254", "autostart": True}


@pytest.fixture
def lab_network(db: None) -> Network:
    return Network.objects.create(name="lab", mode="nat", spec=SPEC)


def change(network: Network, verb: str, *hosts: Host, **more: Any) -> ChangeNetwork:
    return ChangeNetwork(network, {"verb": verb, "hosts": [host.pk for host in hosts], **more})


def names_on(host: Host) -> set[str]:
    with connect(host.target) as conn:
        return {net.name() for net in conn.listAllNetworks()}


def test_it_works(do: Do, simulated: Make, lab_network: Network, admin: User) -> None:
    hosts = [simulated("alpha"), simulated("beta")]
    job = do(change(lab_network, "define", *hosts), admin)
    assert job.state == State.SUCCEEDED, (job.error, job.children.values_list("error", flat=True))
    assert job.result["hosts"] == {"alpha": "succeeded", "beta": "succeeded"}
    for host in hosts:
        assert "lab" in names_on(host)
        cell = lab_network.presences.get(host=host)
        assert (cell.is_active, cell.autostart) == (True, True)
    assert any("net-define" in command for part in job.children.all() for command in part.commands)


def test_again_changes_nothing(do: Do, simulated: Make, lab_network: Network) -> None:
    host = simulated("alpha")
    do(change(lab_network, "define", host))
    uuid = lab_network.presences.get().uuid
    job = do(change(lab_network, "define", host))
    assert job.state == State.SUCCEEDED
    assert lab_network.presences.get().uuid == uuid


def test_one_host_that_does_not_answer_spoils_nothing_for_the_others(
    do: Do, simulated: Make, lab_network: Network, tmp_path: Any
) -> None:
    good, bad = simulated("alpha"), simulated("beta")
    (tmp_path / "beta.xml").unlink()
    job = do(change(lab_network, "define", good, bad))
    assert job.state == State.FAILED
    assert job.result["hosts"]["alpha"] == "succeeded"
    assert job.result["hosts"]["beta"] != "succeeded"
    assert "lab" in names_on(good)
    assert lab_network.presences.count() == 1


def test_another_network_of_that_name_is_left_alone(do: Do, simulated: Make, lab_network: Network) -> None:
    host = simulated("alpha")
    other = "<network><name>lab</name><ip address='10.1.0.1' netmask='255.255.255.0'/></network>"
    with connect(host.target) as conn:
        conn.networkDefineXML(other)
    job = do(change(lab_network, "define", host))
    assert "another network of this name" in job.children.get().error
    assert "10.1.0.1/24" in job.children.get().error
    with connect(host.target) as conn:
        assert not conn.networkLookupByName("lab").isActive()


def test_what_can_not_be_started_is_taken_away_again(
    do: Do, simulated: Make, lab_network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = simulated("alpha")

    def refuse(conn: Any, name: str) -> None:
        with translated():
            conn.networkCreateXML("<network/>")  # a real refusal by libvirt: a network without a name

    monkeypatch.setattr(virt_networks, "start", refuse)
    job = do(change(lab_network, "define", host))
    assert job.state == State.FAILED
    assert "lab" not in names_on(host)


def test_stop_start_autostart_and_remove(do: Do, simulated: Make, lab_network: Network) -> None:
    host = simulated("alpha")
    do(change(lab_network, "define", host))
    for verb, expected in (
        ("stop", (False, True)),
        ("autostart-off", (False, False)),
        ("start", (True, False)),
        ("autostart-on", (True, True)),
    ):
        assert do(change(lab_network, verb, host)).state == State.SUCCEEDED
        cell = lab_network.presences.get()
        assert (cell.is_active, cell.autostart) == expected, verb
    assert do(change(lab_network, "remove")).state == State.SUCCEEDED
    assert "lab" not in names_on(host)
    assert not Network.objects.filter(name="lab").exists()


def test_removed_from_one_host_it_stays_on_the_other(do: Do, simulated: Make, lab_network: Network) -> None:
    one, two = simulated("alpha"), simulated("beta")
    do(change(lab_network, "define", one, two))
    do(change(lab_network, "remove", one))
    assert [cell.host for cell in lab_network.presences.all()] == [two]


def test_a_network_nobody_has_can_be_forgotten(do: Do, simulated: Make, lab_network: Network, admin: User) -> None:
    simulated("alpha")
    assert do(change(lab_network, "remove"), admin).state == State.SUCCEEDED
    assert not Network.objects.exists()


def test_a_network_that_was_found_can_be_defined_elsewhere(do: Do, simulated: Make) -> None:
    one, two = simulated("alpha"), simulated("beta")
    with connect(one.target) as conn:
        conn.networkDefineXML(
            "<network><name>found</name><forward mode='nat'/><bridge name='virbr7'/>"
            "<ip address='10.7.0.1' netmask='255.255.255.0'/></network>"
        )
    sync.refresh_networks(one)
    found = Network.objects.get(name="found")
    assert not found.is_ours
    assert do(change(found, "define", two)).state == State.SUCCEEDED
    cells = list(found.presences.all())
    assert len(cells) == 2
    assert cells[0].identity == cells[1].identity


def test_running_vms_are_not_cut_off_without_a_word(do: Do, simulated: Make, lab_network: Network, admin: User) -> None:
    host = simulated("alpha")
    do(change(lab_network, "define", host))
    make_vm(host, "web", hardware={"nics": [{"kind": "network", "source": "lab", "mac": "52:54:00:00:00:09"}]})
    for verb in ("stop", "remove"):
        with pytest.raises(Refused, match="Running VMs use it: web") as refused:
            engine.enqueue(change(lab_network, verb, host), user=admin)
        assert refused.value.field == "force"
    assert do(change(lab_network, "stop", host, force=True), admin).state == State.SUCCEEDED


def test_a_host_that_is_off_is_not_asked(do: Do, simulated: Make, lab_network: Network) -> None:
    host = simulated("alpha", observed_state=HostState.FENCED)
    assert do(change(lab_network, "define", host)).children.get().error == "The host is off."


@pytest.mark.parametrize("verb", ["", "explode", "define; reboot"])
def test_nothing_else_can_be_done(simulated: Make, lab_network: Network, admin: User, verb: str) -> None:
    with pytest.raises(Refused):
        engine.enqueue(change(lab_network, verb, simulated("alpha")), user=admin)


def test_no_host_chosen(lab_network: Network, admin: User) -> None:
    with pytest.raises(Refused, match="Choose a host"):
        engine.enqueue(change(lab_network, "define"), user=admin)


def test_the_dialog_makes_the_row_and_one_job(admin_client: Client, simulated: Make) -> None:
    host = simulated("alpha")
    data = {"name": "lab", "mode": "nat", "cidr": "10.99.0.0/24", "dhcp": "on", "autostart": "on", "hosts": [host.pk]}
    answer = admin_client.post("/hosts/networks/add", data, headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert Network.objects.get().spec["cidr"] == "10.99.0.1/24"
    assert Job.objects.get(parent=None).params == {"verb": "define", "hosts": [host.pk]}


def test_stopping_under_a_running_vm_asks_for_a_tick(admin_client: Client, do: Do, simulated: Make) -> None:
    host = simulated("alpha")
    network = Network.objects.create(name="lab", mode="nat", spec=SPEC)
    do(change(network, "define", host))
    make_vm(host, "web", hardware={"nics": [{"kind": "network", "source": "lab", "mac": "52:54:00:00:00:09"}]})
    url = f"/hosts/networks/{network.pk}/stop"
    answer = admin_client.post(url, {"host": host.pk}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert "Confirm that they lose their connection" in answer.content.decode()
    answer = admin_client.post(url, {"host": host.pk, "force": "on"}, headers={"HX-Request": "true"})
    assert answer.status_code == 204


def test_define_on_the_hosts_that_lack_it(admin_client: Client, do: Do, simulated: Make) -> None:
    one, two = simulated("alpha"), simulated("beta")
    network = Network.objects.create(name="lab", mode="nat", spec=SPEC)
    do(change(network, "define", one))
    admin_client.post(f"/hosts/networks/{network.pk}/define-missing")
    assert Job.objects.filter(parent=None).latest("pk").params["hosts"] == [two.pk]
