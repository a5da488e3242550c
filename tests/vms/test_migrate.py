"""The migration operation and its dialog; what the real lab does is in tests/faults/test_migration.py."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from access.models import User
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage.models import PoolOnHost
from tests.factories import make_host, make_pool, make_vm
from virt.migration import Options
from vms.live_checks import wants_post_copy
from vms.migration import MigrateVm
from vms.migration_views import SHOWN
from vms.models import Vm
from vms.states import VmState

pytestmark = pytest.mark.django_db


@pytest.fixture
def two() -> list[Host]:
    return [make_host("vmhost1"), make_host("vmhost2")]


@pytest.fixture
def vm(two: list[Host]) -> Vm:
    return make_vm(two[0], pool=make_pool("vmstorage", *two))


def test_it_works(admin: User, vm: Vm, two: list[Host]) -> None:
    job = enqueue(MigrateVm(vm, {"host": two[1].pk}), user=admin)
    assert job.title == "Migrate web-07 → vmhost2"
    assert job.params["host"] == two[1].pk
    assert [f"vm:{vm.uuid}", 1] in job.locks
    assert [f"migrate:host:{two[1].pk}", 2] in job.locks


def test_best_place_is_chosen(admin: User, vm: Vm, two: list[Host]) -> None:
    assert enqueue(MigrateVm(vm, {"host": None}), user=admin).params["host"] == two[1].pk


def test_refused_with_the_reason_beside_the_host(admin: User, vm: Vm, two: list[Host]) -> None:
    Host.objects.filter(pk=two[1].pk).update(maintenance=True)
    with pytest.raises(Refused, match="maintenance") as refused:
        enqueue(MigrateVm(vm, {"host": two[1].pk}), user=admin)
    assert refused.value.field == "host"
    assert not Job.objects.exists()


def test_already_there(admin: User, vm: Vm, two: list[Host]) -> None:
    with pytest.raises(Refused, match="already there"):
        enqueue(MigrateVm(vm, {"host": two[0].pk}), user=admin)


def test_a_vm_that_is_off_moves_offline(admin: User, vm: Vm, two: list[Host]) -> None:
    Vm.objects.update(observed_state=VmState.OFF)
    vm.refresh_from_db()
    assert enqueue(MigrateVm(vm, {"host": two[1].pk, "mode": "live"}), user=admin).params["mode"] == "offline"


def test_tunnelled_and_tls_do_not_go_together(admin: User, vm: Vm, two: list[Host]) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(MigrateVm(vm, {"host": two[1].pk, "tunnelled": True, "tls": True}), user=admin)
    assert refused.value.field == "transport"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"tunnelled": True, "post_copy": True}, "transport"),
        ({"tunnelled": True, "on_timeout": "post_copy", "timeout_s": 9}, "transport"),
        ({"tunnelled": True, "address": "10.0.0.9"}, "address"),
        ({"address": "a b; rm -rf /"}, "address"),
    ],
)
def test_options_that_do_not_work(admin: User, vm: Vm, two: list[Host], params: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(MigrateVm(vm, {"host": two[1].pk, **params}), user=admin)
    assert refused.value.field == field


def test_post_copy_at_a_time_limit_needs_one(admin: User, vm: Vm, two: list[Host]) -> None:
    assert not wants_post_copy({"on_timeout": "post_copy", "timeout_s": 0})
    assert wants_post_copy({"on_timeout": "post_copy", "timeout_s": 1})
    assert enqueue(MigrateVm(vm, {"host": two[1].pk, "tunnelled": True, "on_timeout": "post_copy"}), user=admin)


def test_dialog_lists_hosts_and_reasons(admin_client: Client, vm: Vm, two: list[Host]) -> None:
    make_host("vmhost3", maintenance=True)
    page = admin_client.get(reverse("vms:migrate", args=[vm.uuid]), headers={"HX-Request": "true"}).content.decode()
    assert "vmhost2" in page
    assert "It is in maintenance." in page


def test_dialog_starts_the_job(admin_client: Client, vm: Vm, two: list[Host]) -> None:
    answer = admin_client.post(reverse("vms:migrate", args=[vm.uuid]), {"host": two[1].pk, "mode": "live"})
    job = Job.objects.get()
    assert answer.status_code == 302
    assert answer.headers["Location"] == job.get_absolute_url()


def test_dialog_says_what_is_wrong_beside_the_field(admin_client: Client, vm: Vm, two: list[Host]) -> None:
    data = {"host": two[1].pk, "mode": "live", "bandwidth_mib": "-3", "address": "a b; rm -rf /"}
    answer = admin_client.post(reverse("vms:migrate", args=[vm.uuid]), data)
    assert answer.status_code == 422
    assert answer.content.count(b"field-error") >= 2
    assert not Job.objects.exists()


def test_lab_user_may_not(client: Client, lab_user: User, vm: Vm) -> None:
    client.force_login(lab_user)
    assert client.get(reverse("vms:migrate", args=[vm.uuid])).status_code == 404
    Vm.objects.filter(pk=vm.pk).update(owner=lab_user)
    assert client.get(reverse("vms:migrate", args=[vm.uuid])).status_code == 403


def test_stranger_sees_the_login_page(client: Client, vm: Vm) -> None:
    answer = client.get(reverse("vms:migrate", args=[vm.uuid]))
    assert answer.status_code == 302
    assert "/login" in answer.headers["Location"]


def test_the_same_by_hand() -> None:
    options = Options(bandwidth_bytes_s=10 * 1024**2, compression=True)
    command = options.command("web-07", "qemu+ssh://root@a/system", "qemu+ssh://root@b/system", "10.0.0.2")
    assert command == [
        *("virsh", "-c", "qemu+ssh://root@a/system", "migrate", "--p2p", "--live", "--abort-on-error"),
        *("--persistent", "--undefinesource", "--auto-converge", "--compressed", "--bandwidth", "10"),
        *("web-07", "qemu+ssh://root@b/system", "tcp://10.0.0.2"),
    ]


def test_post_copy_and_tls_by_hand() -> None:
    options = Options(post_copy=True, post_copy_after_pass=True, tls=True, tls_name="vmhost2", auto_converge=False)
    words = options.command("web-07", "a", "b", "10.1.0.2")
    assert words[7:] == [
        *("--persistent", "--undefinesource", "--postcopy", "--postcopy-after-precopy", "--tls"),
        *("--tls-destination", "vmhost2", "web-07", "b", "tcp://10.1.0.2"),
    ]
    assert options.params("10.1.0.2")["tls.destination"] == "vmhost2"


HTMX = {"HX-Request": "true", "HX-Target": "destinations"}


@pytest.fixture
def many(vm: Vm) -> list[Host]:
    """20 more hosts that can take it, 20 that can't."""
    hosts = [make_host(f"free{number:02}") for number in range(20)]
    for number in range(20):
        make_host(f"busy{number:02}", **({"maintenance": True} if number < 15 else {"arch": "aarch64"}))
    for host in Host.objects.exclude(name__in=["vmhost1", "vmhost2"]):
        add_to_pool(host)
    return hosts


def add_to_pool(host: Host) -> None:
    known = PoolOnHost.objects.first()
    assert known is not None
    known.pk, known.host = None, host
    known.save()


def listed(client: Client, vm: Vm, query: str = "") -> tuple[list[str], list[str]]:
    """Names of the hosts shown: those to choose from, those that can't take it."""
    text = client.get(reverse("vms:migrate", args=[vm.uuid]) + query, headers=HTMX).content.decode()
    assert text.count("<form") == 0
    found = re.findall(r'class="choice( choice-off)?".*?<span class="choice-main">([^<]+)</span>', text, re.DOTALL)
    return [name for off, name in found if not off], [name for off, name in found if off]


def test_dialog_shows_a_page_of_hosts_and_reaches_all(admin_client: Client, vm: Vm, many: list[Host]) -> None:
    pages = [listed(admin_client, vm, f"?page={number}&off={number}") for number in (1, 2, 3)]
    assert {len(can) for can, _not in pages[:2]} == {SHOWN}
    assert {name for can, _not in pages for name in can} == {"vmhost2", *(host.name for host in many)}
    assert {name for _can, can_not in pages for name in can_not} == {f"busy{number:02}" for number in range(20)}


def test_dialog_counts_the_reasons(admin_client: Client, vm: Vm, many: list[Host]) -> None:
    text = admin_client.get(reverse("vms:migrate", args=[vm.uuid])).content.decode()
    assert "20 hosts can&#x27;t take it" in text or "20 hosts can't take it" in text
    assert '<span class="num">15</span> It is in maintenance.' in text
    assert '<span class="num">5</span> Its CPU is aarch64' in text


def test_dialog_finds_a_host(admin_client: Client, vm: Vm, many: list[Host]) -> None:
    assert listed(admin_client, vm, "?q=BUSY07") == ([], ["busy07"])
    assert listed(admin_client, vm, "?q=free07") == (["free07"], [])


def test_what_is_chosen_stays_in_sight(admin_client: Client, vm: Vm, many: list[Host]) -> None:
    url = reverse("vms:migrate", args=[vm.uuid])
    text = admin_client.get(f"{url}?host={many[3].pk}&q=free07", headers=HTMX).content.decode()
    assert re.search(rf'value="{many[3].pk}" checked', text)
    assert "free07" in text
    assert "host=" not in text  # each click sends what is chosen then


def test_queries_of_the_dialog(
    admin_client: Client, vm: Vm, many: list[Host], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(12):
        admin_client.get(reverse("vms:migrate", args=[vm.uuid]), headers=HTMX)
