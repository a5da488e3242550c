"""Who sees which page of hosts and networks, and that none of them asks a host anything."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import User
from hosts.models import ClusterCpu, Host, Network, NetworkOnHost
from hosts.states import HostState
from jobs.models import Job
from tests.factories import make_host, make_network, make_vm

LOOK = ["/hosts/", "/hosts/cluster", "/hosts/{host}/", "/hosts/{host}/charts", "/hosts/{host}/networks",
        "/hosts/{host}/checks", "/hosts/networks/", "/hosts/networks/{network}/"]  # fmt: skip
MANAGE = ["/hosts/add", "/hosts/trust", "/hosts/encryption", "/hosts/{host}/edit", "/hosts/{host}/menu",
          "/hosts/{host}/maintenance", "/hosts/{host}/evacuate", "/hosts/{host}/repin", "/hosts/{host}/let-in",
          "/hosts/{host}/declare-off", "/hosts/{host}/remove",
          "/hosts/networks/add", "/hosts/networks/{network}/stop", "/hosts/networks/{network}/remove"]  # fmt: skip
POSTS = ["/hosts/common-cpu", "/hosts/{host}/do/refresh", "/hosts/{host}/do/preflight", "/hosts/{host}/setup/probe",
         "/hosts/{host}/setup/accept", "/hosts/networks/{network}/define-missing",
         "/hosts/networks/{network}/start"]  # fmt: skip


@pytest.fixture
def names(db: None) -> dict[str, int]:
    host = make_host("vmhost1", transport="ssh", seen_at=timezone.now(), host_keys=[], trusted_hosts=[])
    make_host("vmhost2", transport="ssh")
    return {"host": host.pk, "network": make_network("default", host).pk}


@pytest.mark.parametrize("path", LOOK + MANAGE)
def test_it_works(admin_client: Client, names: dict[str, int], path: str) -> None:
    for headers in ({}, {"HX-Request": "true"}):
        assert admin_client.get(path.format(**names), headers=headers).status_code == 200


@pytest.mark.parametrize("path", LOOK)
def test_operators_may_look(as_operator: Client, names: dict[str, int], path: str) -> None:
    assert as_operator.get(path.format(**names)).status_code == 200


@pytest.mark.parametrize("path", MANAGE)
def test_operators_change_no_host(as_operator: Client, names: dict[str, int], path: str) -> None:
    assert as_operator.get(path.format(**names)).status_code == 403
    assert as_operator.post(path.format(**names)).status_code in {403, 405}
    assert not Job.objects.exists()


@pytest.mark.parametrize("path", POSTS)
def test_operators_have_no_buttons_either(as_operator: Client, names: dict[str, int], path: str) -> None:
    assert as_operator.post(path.format(**names)).status_code == 403
    assert not Job.objects.exists()


@pytest.mark.parametrize("path", LOOK + MANAGE)
def test_lab_users_see_no_host(as_lab_user: Client, names: dict[str, int], path: str) -> None:
    assert as_lab_user.get(path.format(**names)).status_code == 404


@pytest.mark.parametrize("path", LOOK + MANAGE + POSTS)
def test_strangers_log_in_first(client: Client, names: dict[str, int], path: str) -> None:
    for answer in (client.get(path.format(**names)), client.post(path.format(**names))):
        assert answer.status_code in {302, 405}
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith("/login")


@pytest.mark.parametrize("path", POSTS)
def test_nothing_changes_by_looking(admin_client: Client, names: dict[str, int], path: str) -> None:
    assert admin_client.get(path.format(**names)).status_code in {404, 405}
    assert not Job.objects.exists()


@pytest.mark.parametrize("path", [*LOOK, *MANAGE])
def test_what_is_not_there(admin_client: Client, names: dict[str, int], path: str) -> None:
    if "{" in path:
        assert admin_client.get(path.format(host=999, network=999)).status_code == 404


def test_the_empty_list_says_what_to_do_first(admin_client: Client, as_operator: Client) -> None:
    assert "Add the first machine" in admin_client.get("/hosts/").content.decode()
    assert "Add host" not in as_operator.get("/hosts/").content.decode()


def test_the_list_shows_what_was_observed_and_dashes_for_the_rest(admin_client: Client, db: None) -> None:
    host = make_host("vmhost1", cpu_percent=42.0, load1=1.5)
    make_vm(host)
    make_host("gone", observed_state=HostState.UNREACHABLE, cpu_percent=13.0, load1=7.25)
    page = admin_client.get("/hosts/").content.decode()
    assert "42\u00a0%" in page
    assert "no answer" in page
    assert "7.25" not in page
    assert "bar-unknown" in page


def test_search_and_state(admin_client: Client, db: None) -> None:
    make_host("alpha", address="10.1.1.1")
    make_host("beta", maintenance=True)
    make_host("gamma", observed_state=HostState.UNREACHABLE)

    def listed(query: str) -> list[str]:
        page = admin_client.get(f"/hosts/?{query}", headers={"HX-Request": "true"}).content.decode()
        return [name for name in ("alpha", "beta", "gamma") if f">{name}</a>" in page]

    assert listed("q=10.1.1") == ["alpha"]
    assert listed("state=maintenance") == ["beta"]
    assert listed("state=unreachable") == ["gamma"]
    assert listed("state=nonsense") == ["alpha", "beta", "gamma"]
    assert listed("q=<script>") == []
    assert listed("page=99") == ["alpha", "beta", "gamma"]


def test_a_host_being_added_is_in_no_list_of_hosts(admin_client: Client, db: None) -> None:
    make_host("fresh", is_managed=False, setup_step="keys")
    page = admin_client.get("/hosts/").content.decode()
    assert "Being added" in page
    assert "host-table" not in page


def test_few_queries_however_many_hosts(admin_client: Client, db: None, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        make_vm(make_host(f"host{number:02}"), f"vm{number}")
    with django_assert_max_num_queries(14):
        admin_client.get("/hosts/")
    with django_assert_max_num_queries(5):
        admin_client.get("/hosts/", headers={"HX-Request": "true"})


def test_few_queries_for_a_host_and_the_networks(
    admin_client: Client, names: dict[str, int], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(18):
        admin_client.get(f"/hosts/{names['host']}/")
    with django_assert_max_num_queries(12):
        admin_client.get("/hosts/networks/")


def test_an_error_of_a_host_is_told_with_its_cures(admin_client: Client, db: None) -> None:
    host = make_host(
        "vmhost1", transport="ssh", observed_state=HostState.REFUSED, last_error="The host shows another SSH key.",
        last_error_technical="REMOTE HOST IDENTIFICATION <HAS> CHANGED",
    )  # fmt: skip
    page = admin_client.get(f"/hosts/{host.pk}/").content.decode()
    assert "The host shows another SSH key." in page
    assert "&lt;HAS&gt;" in page
    assert f"/hosts/{host.pk}/repin" in page
    assert f"/hosts/{host.pk}/declare-off" in page


def test_the_common_cpu_and_what_stays_unused(admin_client: Client, db: None) -> None:
    host = make_host("vmhost1")
    hosts = {str(host.pk): {"model": "EPYC-Milan", "unused": ["vaes"]}}
    ClusterCpu.objects.create(arch="x86_64", domain_type="kvm", model="EPYC-Rome", hosts=hosts)
    page = admin_client.get("/hosts/").content.decode()
    assert "EPYC-Rome" in page
    assert "vmhost1: EPYC-Milan" in page
    assert "1 feature stays unused" in page


def test_ways_without_trust_are_counted(admin_client: Client, db: None) -> None:
    one, two = make_host("one", transport="ssh"), make_host("two", transport="ssh")
    assert "one → two" in admin_client.get("/hosts/cluster").content.decode()
    Host.objects.filter(pk=one.pk).update(trusted_hosts=[two.pk])
    Host.objects.filter(pk=two.pk).update(trusted_hosts=[one.pk])
    assert "All 2 hosts can log in to each other" in admin_client.get("/hosts/cluster").content.decode()


def test_networks_that_differ_between_hosts_are_marked(admin_client: Client, db: None) -> None:
    hosts = [make_host(f"vmhost{n}") for n in (1, 2, 3)]
    network = make_network("lab", *hosts)
    xml = "<network><name>lab</name><forward mode='nat'/><ip address='{}' prefix='24'/></network>"
    for cell, address in zip(network.presences.order_by("pk"), ("10.0.0.1", "10.0.0.1", "10.0.9.1"), strict=True):
        cell.xml, cell.identity = xml.format(address), f"nat {address}"
        cell.save()
    assert admin_client.get("/hosts/networks/").content.decode().count("differs") == 1
    page = admin_client.get(network.get_absolute_url()).content.decode()
    assert "10.0.9.1/24 (elsewhere: 10.0.0.1/24)" in page


def test_many_hosts_are_counted_instead_of_shown(admin_client: Client, db: None) -> None:
    make_network("lab", *[make_host(f"host{n:02}") for n in range(13)])
    page = admin_client.get("/hosts/networks/").content.decode()
    assert "13 / 13" in page
    assert "<th>host" not in page


def test_who_uses_a_network(admin_client: Client, db: None) -> None:
    host = make_host("vmhost1")
    network = make_network("lab", host)
    nic = {"mac": "52:54:00:aa:bb:cc", "kind": "network", "source": "lab"}
    make_vm(host, "inside", hardware={"nics": [nic], "disks": []})
    make_vm(host, "outside", hardware={"nics": [{**nic, "source": "label"}], "disks": [{"path": '/x/"lab"'}]})
    network.presences.update(leases=[{"mac": "52:54:00:aa:bb:cc", "ip": "10.9.9.9", "hostname": ""}])
    page = admin_client.get(network.get_absolute_url()).content.decode()
    assert page.count(">inside</a>") == 2  # once as a VM in it, once beside its lease
    assert "outside" not in page


def test_hostile_text_from_hosts_stays_text(admin_client: Client, db: None) -> None:
    evil = "<script>1</script>"
    host = make_host("vmhost1", hostname=evil, os_name=evil, cpu_model=evil, bridges=[evil], maintenance_note=evil)
    network = Network.objects.create(name=evil, mode="nat", spec={"cidr": evil})
    network.presences.create(host=host, uuid="5f8a1c50-0000-4000-8000-00000000000a", bridge=evil, xml=evil)
    for path in ("/hosts/", host.get_absolute_url(), "/hosts/networks/", network.get_absolute_url()):
        assert evil not in admin_client.get(path).content.decode()


def test_the_menu_says_why_not(admin_client: Client, admin: User) -> None:
    page = admin_client.get(f"/hosts/{make_host('vmhost1').pk}/menu").content.decode()
    assert "Not possible while it is up." in page


def test_the_common_cpu_is_computed_on_request(admin_client: Client, db: None) -> None:
    assert admin_client.post("/hosts/common-cpu", headers={"HX-Request": "true"}).status_code == 204
    assert Job.objects.get().operation == "hosts.common_cpu"


def test_a_host_that_refuses_us_can_be_opened_again(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.secrets.put", lambda _value: "reference")
    host = make_host("vmhost1", transport="ssh", observed_state=HostState.REFUSED, last_error="It does not accept us.")
    Host.objects.filter(pk=host.pk).update(host_keys=[["ssh-ed25519", "AAAA"]])
    url = f"/hosts/{host.pk}/let-in"
    assert url in admin_client.get(f"/hosts/{host.pk}/").content.decode()
    assert admin_client.post(url, {"password": ""}, headers={"HX-Request": "true"}).status_code == 422
    assert admin_client.post(url, {"password": "x"}, headers={"HX-Request": "true"}).status_code == 204
    assert Job.objects.get().params == {"secret": "reference"}


def test_going_back_shows_the_page_and_not_a_piece_of_it(admin_client: Client, db: None) -> None:
    for headers in ({}, {"HX-Request": "true"}):
        assert "HX-Request" in admin_client.get("/hosts/?q=x", headers=headers).headers["Vary"]


@pytest.mark.parametrize(("days", "text"), [(200, ""), (20, "migration ends on"), (-2, "migration ended on")])
def test_a_certificate_to_renew(
    admin_client: Client, as_operator: Client, names: dict[str, int], days: int, text: str
) -> None:
    Host.objects.update(certificate_until=timezone.now() + timedelta(days=days))
    page = admin_client.get(f"/hosts/{names['host']}/").content.decode()
    assert "certificate until" in page
    assert ("Renew the certificates" in page) == bool(text)
    assert text in page
    assert "Renew the certificates" not in as_operator.get(f"/hosts/{names['host']}/").content.decode()


def test_networks_on_many_hosts_are_counted(admin_client: Client, db: None, django_assert_max_num_queries: Any) -> None:
    hosts = [make_host(f"node{number:02}") for number in range(20)]
    lan, empty = make_network("lan", *hosts), make_network("empty")
    NetworkOnHost.objects.filter(host__in=hosts).update(identity="one")
    NetworkOnHost.objects.filter(host=hosts[0]).update(identity="another")
    NetworkOnHost.objects.filter(host=hosts[1]).update(missing_since=timezone.now(), identity="another")
    NetworkOnHost.objects.filter(host=hosts[2]).update(is_active=False)
    with django_assert_max_num_queries(12):
        rows = {row["network"].pk: row for row in admin_client.get("/hosts/networks/").context["rows"]}
    assert {key: rows[lan.pk][key] for key in ("active", "differ", "missing")} == {
        "active": 19,
        "differ": 1,
        "missing": 1,
    }
    assert rows[empty.pk]["active"] == 0
