"""The overview: figures, what needs attention, and the map."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.models import User
from cluster.attention import attention
from cluster.figures import figures, pool_uses
from cluster.map import HOSTS_PER_PAGE, TILES, cluster_map, width
from hosts.models import Host
from jobs.models import Job
from jobs.states import State
from storage.models import PoolOnHost
from tests.cluster.conftest import GIB, Small, make_host
from vms.models import Vm

PIECES = ["/overview/figures", "/overview/attention", "/overview/map"]


def titles(user: User) -> list[str]:
    return [item.title.replace("\N{NO-BREAK SPACE}", " ") for item in attention(user)]


def test_it_works(admin_client: Client, small: Small) -> None:
    small.vm("web-01", small.up)
    page = admin_client.get("/").content.decode()
    for text in ("vmhost1", "web-01", "Needs attention", "vmhost3 does not answer", "All jobs"):
        assert text in page
    for piece in PIECES:
        assert admin_client.get(piece).status_code == 200


def test_an_empty_cluster_says_what_to_do_first(admin_client: Client) -> None:
    page = admin_client.get("/").content.decode()
    assert "No host yet" in page
    assert "/hosts/add" in page


def test_who_sees_no_host_begins_with_their_own_vms(client: Client, lab_user: User, small: Small) -> None:
    small.vm("mine", small.up, owner=lab_user)
    client.force_login(lab_user)
    assert client.get("/").headers["Location"] == "/my-vms/"
    assert client.get("/overview/map").status_code == 404
    assert client.get("/overview/figures").status_code == 200


def test_nobody_without_a_login(client: Client, db: None) -> None:
    for address in ["/", "/search?q=a", *PIECES]:
        assert client.get(address).status_code == 302


def test_the_same_number_of_queries_at_any_size(admin_client: Client, small: Small) -> None:
    small.vm("web-01", small.up)
    admin_client.get("/")
    with CaptureQueriesContext(connection) as few:
        admin_client.get("/")
    for number in range(60):
        host = make_host(f"extra{number:03}", trusted_hosts=list(range(1000)))
        PoolOnHost.objects.create(pool=small.local, host=host, is_active=True, capacity_bytes=GIB, available_bytes=GIB)
        for one in range(3):
            small.vm(f"vm-{number}-{one}", host)
    with CaptureQueriesContext(connection) as many:
        admin_client.get("/")
    assert len(many) <= len(few) + 1, "only the second page of hosts may be counted"


# --- figures ---------------------------------------------------------------------------------------------------------


def test_figures(admin: User, small: Small) -> None:
    small.vm("on", small.up, vcpus=4)
    small.vm("off", small.up, "off")
    small.vm("paused", small.up, "paused")
    small.vm("there", small.silent, vcpus=8)
    small.vm("gone", small.up, missing_since=timezone.now())
    small.vm("nowhere", None)
    small.vm("new", None, "creating")
    found = figures(admin)
    vms, hosts, storage = found["vms"], found["hosts"], found["storage"]
    assert (vms["all"], vms["running"], vms["unknown"], vms["resting"], vms["promised"]) == (7, 1, 3, 3, 4)
    assert (hosts["all"], hosts["up"], hosts["silent"]) == (3, 2, 1)
    assert (hosts["cpu_percent"], hosts["memory_percent"]) == (50.0, 75.0)
    assert storage["capacity"] == (100 + 3 * 100) * GIB, "a shared pool counts once"
    assert storage["fullest"].name == "vmstorage"


def test_figures_agree_with_the_state_of_each_vm(admin: User, small: Small) -> None:
    """SQL and `Vm.state` are two ways to the same answer: they must not part."""
    for state in ("running", "off", "paused", "crashed", "creating", "unknown"):
        for host in (small.up, small.silent, None):
            for missing in (None, timezone.now()):
                small.vm(f"{state}", host, state, missing_since=missing)
    shown = [vm.state for vm in Vm.objects.select_related("host")]
    vms = figures(admin)["vms"]
    assert vms["running"] == shown.count("running")
    assert vms["unknown"] == shown.count("unknown")
    on_map = [tile.look for card in cluster_map(admin)["cards"] for tile in card.tiles]
    with_host = [vm.state for vm in Vm.objects.select_related("host").exclude(host=None)]
    assert on_map.count("unknown") == with_host.count("unknown")


def test_what_nobody_observed_is_not_zero(admin: User, db: None) -> None:
    make_host("vmhost1", cpu_percent=None, memory_free_bytes=None)
    hosts = figures(admin)["hosts"]
    assert hosts["cpu_percent"] is None
    assert hosts["memory_percent"] is None


# --- attention -------------------------------------------------------------------------------------------------------


def test_all_is_well(admin: User, small: Small, admin_client: Client) -> None:
    small.silent.delete()
    assert titles(admin) == []
    assert "All is well" in admin_client.get("/overview/attention").content.decode()


def test_each_trouble_is_a_line_with_a_button(admin: User, small: Small) -> None:
    small.vm("twice", small.up, is_duplicate=True)
    small.vm("lost", small.up, missing_since=timezone.now())
    small.vm("broken", small.up, "crashed")
    Host.objects.filter(pk=small.other.pk).update(clock_offset_s=-7.5, trusted_hosts=[])
    PoolOnHost.objects.filter(pool=small.shared).update(available_bytes=5 * GIB)
    PoolOnHost.objects.filter(pool=small.local, host=small.up).update(is_active=False)
    now = timezone.now()
    Job.objects.create(
        operation="vms.start", title="Start web-07", state=State.FAILED, error="No room.", finished_at=now
    )
    found = titles(admin)
    for title in (
        "twice runs on two hosts",
        "vmhost3 does not answer",
        "Pool vmstorage is 95 % full",
        "Pool local is not active on vmhost1",
        "lost is missing",
        "broken crashed",
        "Some hosts can't log in to all others",
        "The clock of vmhost2 is wrong",
        "Failed: Start web-07",
    ):
        assert title in found
    assert [item.tone for item in attention(admin)] == sorted(
        (item.tone for item in attention(admin)), key=["bad", "warn", "info"].index
    )
    assert all(item.url and item.button for item in attention(admin))


def test_a_changed_host_key_says_so(admin: User, small: Small) -> None:
    Host.objects.filter(pk=small.silent.pk).update(observed_state="refused", last_error="Its host key has changed.")
    item = next(item for item in attention(admin) if "refuses us" in item.title)
    assert (item.why, item.url) == ("Its host key has changed.", small.silent.get_absolute_url())


@pytest.mark.parametrize(("days", "title"), [(29, "end soon"), (-1, "have ended")])
def test_certificates_to_renew(
    admin: User, operator: User, admin_client: Client, small: Small, days: int, title: str
) -> None:
    Host.objects.update(certificate_until=timezone.now() + timedelta(days=31))
    assert not [title for title in titles(admin) if "ertificates" in title]
    Host.objects.filter(pk=small.other.pk).update(certificate_until=timezone.now() + timedelta(days=days))
    item = next(item for item in attention(admin) if "ertificates" in item.title)
    assert (item.url, item.is_dialog) == ("/hosts/encryption", True)
    assert title in item.title
    assert item.why.startswith("vmhost2:")
    assert "Renew…" in admin_client.get("/overview/attention").content.decode()
    item = next(item for item in attention(operator) if "ertificates" in item.title)
    assert (item.url, item.is_dialog) == (small.other.get_absolute_url(), False)


def test_many_of_one_kind_are_one_line(admin: User, small: Small) -> None:
    for number in range(20):
        make_host(f"dead{number}", "unreachable")
    assert "18 more hosts do not answer" in titles(admin)
    assert len([title for title in titles(admin) if "answer" in title]) == 4


def test_a_failure_that_was_repaired_is_no_news(admin: User, db: None) -> None:
    now = timezone.now()
    same = {"operation": "vms.start", "target_key": "1", "finished_at": now}
    Job.objects.create(title="Start web-07", state=State.FAILED, **same)
    assert titles(admin) == ["Failed: Start web-07"]
    Job.objects.create(title="Start web-07", state=State.SUCCEEDED, **same)
    assert titles(admin) == []


def test_old_failures_are_history(admin: User, db: None) -> None:
    Job.objects.create(
        operation="vms.start", title="x", state=State.FAILED, finished_at=timezone.now() - timedelta(hours=25)
    )
    assert titles(admin) == []


def test_processes_that_do_not_run_are_noticed(admin: User, small: Small) -> None:
    old = timezone.now() - timedelta(minutes=5)
    Host.objects.update(seen_at=old)
    Job.objects.create(operation="vms.start", title="Start", state=State.QUEUED, created_at=old)
    assert {"No host is being watched", "Jobs wait"} <= set(titles(admin))


def test_other_peoples_failures_are_theirs(lab_user: User, admin: User, small: Small) -> None:
    Job.objects.create(operation="vms.start", title="x", state=State.FAILED, user=admin, finished_at=timezone.now())
    assert titles(lab_user) == []


# --- the map ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gib", "wide"), [(0, 1), (0.25, 1), (1, 2), (4, 4), (16, 8), (64, 16), (4096, 16)])
def test_a_tile_is_as_wide_as_its_memory(gib: float, wide: int) -> None:
    assert width(int(gib * GIB)) == wide


def test_tiles(admin: User, admin_client: Client, small: Small) -> None:
    small.vm("a-on", small.up)
    small.vm("b-off", small.up, "off")
    busy = small.vm("c-moving", small.up)
    Vm.objects.filter(pk=busy.pk).update(job=Job.objects.create(operation="x", title="x", state=State.RUNNING))
    ended = small.vm("d-moved", small.up)
    Vm.objects.filter(pk=ended.pk).update(job=Job.objects.create(operation="x", title="x", state=State.SUCCEEDED))
    small.vm("e-silent", small.silent)
    cards = {card.host.name: card for card in cluster_map(admin)["cards"]}
    tiles = cards["vmhost1"].tiles
    assert [tile.look for tile in tiles] == ["on", "off", "busy", "on"]
    assert [tile.can_move for tile in tiles] == [True, True, False, True]
    assert [tile.look for tile in cards["vmhost3"].tiles] == ["unknown"]
    assert not cards["vmhost3"].takes_vms
    page = admin_client.get("/overview/map").content.decode()
    assert 'title="a-on · running · 2\N{NO-BREAK SPACE}GiB"' in page


def test_names_cannot_break_out_of_a_tile(admin_client: Client, small: Small) -> None:
    small.vm('"><script>alert(1)</script>', small.up)
    page = admin_client.get("/overview/map").content.decode()
    assert "<script>alert" not in page
    assert "&quot;&gt;&lt;script&gt;" in page


def test_many_vms_of_one_host_are_a_number(admin: User, small: Small) -> None:
    Vm.objects.bulk_create(
        Vm(uuid=f"00000000-0000-0000-0000-{n:012}", name=f"vm{n}", host=small.up) for n in range(TILES + 5)
    )
    card = cluster_map(admin)["cards"][0]
    assert (len(card.tiles), card.more, card.vms) == (TILES, 5, TILES + 5)


def test_sick_hosts_are_on_the_first_page(admin: User, small: Small) -> None:
    for number in range(HOSTS_PER_PAGE):
        make_host(f"a{number:02}")
    first = cluster_map(admin)
    assert first["cards"][0].host.name == "vmhost3"
    assert len(first["cards"]) == HOSTS_PER_PAGE
    assert [card.host.name for card in cluster_map(admin, page="2")["cards"]] == [
        f"a{HOSTS_PER_PAGE - 1:02}",
        "vmhost1",
        "vmhost2",
    ]
    assert [card.host.name for card in cluster_map(admin, find="HOST2")["cards"]] == ["vmhost2"]
    assert len(cluster_map(admin, page="no number")["cards"]) == HOSTS_PER_PAGE


def test_a_shared_pool_counts_once(small: Small) -> None:
    uses = [(use.name, use.host_name) for use in pool_uses()]
    assert uses.count(("vmstorage", "")) == 1
    assert len(uses) == 4
