"""The list: who sees what, search, filters, sort, pages; few queries; bulk work."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import Group, User
from hosts.models import Host
from jobs import work
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage.models import Image
from tests.factories import make_host, make_pool, make_vm
from vms.listing import PAGE_SIZE
from vms.models import Tag, Vm
from vms.operations.bulk import BulkVms
from vms.states import VmState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
INDEX = "/vms/"


@pytest.fixture
def vms(lab_user: User) -> dict[str, Vm]:
    one, two = make_host("vmhost1"), make_host("vmhost2", observed_state="unreachable")
    pool = make_pool("vmstorage", one, two)
    image = Image.objects.create(name="debian-13", version="1", pool=pool, volume_name="d", state="ready")
    rows = {
        "web-07": make_vm(one, "web-07", address="10.0.0.7", image=image, memory_bytes=4, owner=lab_user),
        "web-08": make_vm(one, "web-08", observed_state=VmState.OFF, memory_bytes=3),
        "db-01": make_vm(two, "db-01", title="orders", memory_bytes=2),
        "lost": make_vm(one, "lost", missing_since=timezone.now(), memory_bytes=1),
    }
    rows["web-07"].tags.add(Tag.objects.create(name="prod"), Tag.objects.create(name="Networks II"))
    rows["db-01"].tags.add(Tag.objects.get(name="prod"))
    return rows


def names(client: Client, query: str = "") -> list[str]:
    return [vm.name for vm, _action in client.get(INDEX + query).context["rows"]]


def test_it_works(admin_client: Client, vms: dict[str, Vm]) -> None:
    answer = admin_client.get(INDEX)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "4 · 1 running" in text
    assert "10.0.0.7" in text
    assert names(admin_client) == ["db-01", "lost", "web-07", "web-08"]


def test_login_is_needed(client: Client) -> None:
    assert client.get(INDEX).status_code == 302


def test_lab_user_sees_their_own(client: Client, lab_user: User, vms: dict[str, Vm]) -> None:
    client.force_login(lab_user)
    assert names(client) == ["web-07"]
    assert "db-01" not in client.get(INDEX + "?q=db").content.decode().replace('value="db"', "")
    assert client.get(reverse("vms:row", args=[vms["db-01"].uuid])).content == b""
    assert client.get(vms["db-01"].get_absolute_url()).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?q=web", ["web-07", "web-08"]),
        ("?q=WEB-07", ["web-07"]),
        ("?q=10.0.0", ["web-07"]),
        ("?q=orders", ["db-01"]),
        ("?q=lena", ["web-07"]),
        ("?q=networks", ["web-07"]),
        ("?q=%27%3B--", []),
        ("?state=running", ["web-07"]),
        ("?state=off", ["web-08"]),
        ("?state=unknown", ["db-01", "lost"]),
        ("?state=off&state=running", ["web-07", "web-08"]),
        ("?state=nonsense", []),
        ("?host=vmhost2", ["db-01"]),
        ("?owner=lena", ["web-07"]),
        ("?owner=-", ["db-01", "lost", "web-08"]),
        ("?tag=prod", ["db-01", "web-07"]),
        ("?tag=prod&tag=Networks+II", ["web-07"]),
        ("?image=debian-13", ["web-07"]),
        ("?sort=-name", ["web-08", "web-07", "lost", "db-01"]),
        ("?sort=memory", ["lost", "db-01", "web-08", "web-07"]),
        ("?sort=;drop", ["db-01", "lost", "web-07", "web-08"]),
        ("?page=99", ["db-01", "lost", "web-07", "web-08"]),
        ("?page=x", ["db-01", "lost", "web-07", "web-08"]),
    ],
)
def test_asked_by_address(admin_client: Client, vms: dict[str, Vm], query: str, found: list[str]) -> None:
    assert names(admin_client, query) == found


def test_by_uuid(admin_client: Client, vms: dict[str, Vm]) -> None:
    assert names(admin_client, f"?q={vms['db-01'].uuid}") == ["db-01"]


def test_states_are_what_people_see(admin_client: Client, vms: dict[str, Vm]) -> None:
    """The database's answer and the model's property say the same."""
    counts = admin_client.get(INDEX).context["listing"].states
    assert {state: total.number for state, total in counts.items()} == {"running": 1, "off": 1, "unknown": 2}
    assert sorted(vm.state for vm in Vm.objects.all()) == ["off", "running", "unknown", "unknown"]


def test_tokens_lead_back(admin_client: Client, vms: dict[str, Vm]) -> None:
    listing = admin_client.get(INDEX + "?state=running&tag=prod&q=web&sort=-name").context["listing"]
    assert {(token.kind, token.shown): token.without for token in listing.tokens} == {
        ("state", "running"): "?q=web&tag=prod&sort=-name",
        ("tag", "prod"): "?q=web&state=running&sort=-name",
    }


def test_htmx_gets_the_fragment_and_a_clean_address(admin_client: Client, vms: dict[str, Vm]) -> None:
    answer = admin_client.get(INDEX + "?q=web&state=&host=", headers={"HX-Request": "true"})
    assert answer.headers["HX-Push-Url"] == "/vms/?q=web"
    assert b"<html" not in answer.content
    live = admin_client.get(INDEX, headers={"HX-Request": "true", "HX-Trigger": "vm-list"})
    assert "HX-Push-Url" not in live.headers


def test_hostile_text_is_text(admin_client: Client, vms: dict[str, Vm]) -> None:
    Vm.objects.filter(name="web-07").update(name="<script>alert(1)</script>", title='" onload="x')
    text = admin_client.get(INDEX + "?q=<script>").content.decode()
    assert "<script>alert" not in text
    assert '" onload="' not in text


def test_few_queries_and_bytes(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    hosts = [make_host(f"h{number}") for number in range(10)]
    for number in range(60):
        vm = make_vm(hosts[number % 10], f"vm-{number:03}", cpu_history=[float(n % 100) for n in range(60)])
        vm.tags.add(Tag.objects.get_or_create(name=f"t{number % 5}")[0])
    with django_assert_max_num_queries(14):
        answer = admin_client.get(INDEX + "?state=running&q=vm")
    assert len(answer.content) < 150_000
    assert len(answer.context["rows"]) == PAGE_SIZE
    assert f"1 to {PAGE_SIZE} of 60" in answer.content.decode()


def test_definitions_are_not_read(admin_client: Client, vms: dict[str, Vm]) -> None:
    vm = admin_client.get(INDEX).context["rows"][0][0]
    assert {"definition", "live_definition", "hardware"} <= vm.get_deferred_fields()


def test_suggestions(admin_client: Client, vms: dict[str, Vm]) -> None:
    url = reverse("vms:options")
    assert admin_client.get(url + "?kind=host&host=VMHOST").context["options"] == ["vmhost1", "vmhost2"]
    assert admin_client.get(url + "?kind=owner&owner=l").context["options"] == ["lena"]
    assert admin_client.get(url + "?kind=tag").context["options"] == ["Networks II", "prod"]
    assert admin_client.get(url + "?kind=password&password=x").context["options"] == []


def test_on_host(admin_client: Client, vms: dict[str, Vm]) -> None:
    host = Host.objects.get(name="vmhost2")
    text = admin_client.get(reverse("vms:on_host", args=[host.pk])).content.decode()
    assert "db-01" in text
    assert "web-07" not in text


def test_empty(admin_client: Client) -> None:
    assert "No VM yet" in admin_client.get(INDEX).content.decode()
    assert "No VM is like this" in admin_client.get(INDEX + "?q=x").content.decode()


class TestBulk:
    def post(self, client: Client, verb: str, vms: list[Vm], **more: Any) -> Any:
        return client.post(reverse("vms:bulk", args=[verb]), {"ids": [str(vm.uuid) for vm in vms], **more})

    def test_it_works(self, admin_client: Client, vms: dict[str, Vm]) -> None:
        """One job with a part for each, and a reason for each that is refused."""
        answer = self.post(admin_client, "shutdown", list(vms.values()))
        parent = Job.objects.get()
        assert answer.headers["Location"] == parent.get_absolute_url()
        work.run(parent.pk)
        parent.refresh_from_db()
        assert [child.target_label for child in parent.children.all()] == ["web-07"]
        assert {one["name"] for one in parent.result["refused"]} == {"web-08", "db-01", "lost"}
        assert all(one["reason"] for one in parent.result["refused"])

    def test_dialog_asks_first(self, admin_client: Client, vms: dict[str, Vm]) -> None:
        url = reverse("vms:bulk", args=["force-off"])
        text = admin_client.get(url, {"ids": [str(vms["web-07"].uuid), str(vms["web-08"].uuid)]}).content.decode()
        assert "Not possible now for these" in text
        assert self.post(admin_client, "force-off", [vms["web-07"]]).status_code == 200
        assert not Job.objects.exists()
        assert self.post(admin_client, "force-off", [vms["web-07"]], sure="1").status_code == 302
        assert Job.objects.get().params["verb"] == "vms.force-off"

    def test_delete_wants_the_number(self, admin_client: Client, vms: dict[str, Vm]) -> None:
        off = [vms["web-08"]]
        assert self.post(admin_client, "delete", off, sure="1", typed="7").status_code == 422
        assert self.post(admin_client, "delete", off, sure="1", typed="1", own_disks="on").status_code == 302
        assert Job.objects.get().params["params"] == {"disks": "own"}

    def test_tag(self, admin_client: Client, vms: dict[str, Vm]) -> None:
        assert self.post(admin_client, "tag", [vms["web-08"]], sure="1").status_code == 422
        assert self.post(admin_client, "tag", [vms["web-08"]], sure="1", add="x, y").status_code == 302
        parent = Job.objects.get()
        work.run(parent.pk)
        for child in parent.children.all():
            work.run(child.pk)
        assert [tag.name for tag in vms["web-08"].tags.all()] == ["x", "y"]
        parent.refresh_from_db()
        assert parent.state == "succeeded"

    def test_group(self, admin_client: Client, vms: dict[str, Vm]) -> None:
        course = Group.objects.create(name="Networks II")
        assert "Group…" in admin_client.get(INDEX).content.decode()
        both = [vms["web-07"], vms["web-08"]]
        text = admin_client.get(reverse("vms:bulk", args=["group"]), {"ids": [str(vm.uuid) for vm in both]})
        assert "Set the group of 2 VMs" in text.content.decode()
        assert self.post(admin_client, "group", both, sure="1", group="999").status_code == 422
        for group in (course, None):
            self.post(admin_client, "group", both, sure="1", group=group.pk if group else "")
            parent = Job.objects.filter(parent=None).latest("pk")
            work.run(parent.pk)
            for child in parent.children.all():
                work.run(child.pk)
            assert {vm.group for vm in Vm.objects.filter(name__startswith="web-0")} == {group}

    def test_the_group_is_for_who_may_change_everything(
        self, client: Client, lab_user: User, vms: dict[str, Vm]
    ) -> None:
        Group.objects.create(name="Networks II")
        client.force_login(lab_user)
        assert "Group…" not in client.get(INDEX).content.decode()
        assert self.post(client, "group", [vms["web-07"]], sure="1", group="").status_code == 403
        assert self.post(client, "edit", [vms["web-07"]], sure="1").status_code == 404

    def test_lab_user_reaches_only_their_own(self, client: Client, lab_user: User, vms: dict[str, Vm]) -> None:
        client.force_login(lab_user)
        self.post(client, "shutdown", list(vms.values()))
        assert Job.objects.get().params["vms"] == [str(vms["web-07"].uuid)]
        answer = client.post(
            reverse("vms:bulk", args=["delete"]),
            {"ids": [str(vms["web-07"].uuid)], "sure": "1", "typed": "1"},
            follow=True,
        )
        assert "You have no right to do this." in answer.content.decode()
        assert Job.objects.count() == 1

    def test_smuggled_uuids(self, lab_user: User, vms: dict[str, Vm]) -> None:
        """Asked for by the API past the page: what this person does not see is not there."""
        job = enqueue(BulkVms(None, {"verb": "vms.force-off", "vms": [str(vms["db-01"].uuid)]}), user=lab_user)
        work.run(job.pk)
        job.refresh_from_db()
        assert job.state == "failed"
        assert not job.children.exists()

    def test_nonsense(self, admin_client: Client, admin: User, vms: dict[str, Vm]) -> None:
        assert self.post(admin_client, "explode", [vms["web-07"]]).status_code == 404
        assert self.post(admin_client, "start", []).status_code == 302
        assert not Job.objects.exists()
        for params in ({"verb": "hosts.remove", "vms": ["x"]}, {"verb": "vms.start", "vms": []}, {"verb": "vms.start"}):
            with pytest.raises(Refused):
                enqueue(BulkVms(None, params), user=admin)

    def test_repeated_run_makes_no_second_part(self, admin: User, vms: dict[str, Vm]) -> None:
        uuids = [str(vms["web-07"].uuid)]
        job = enqueue(BulkVms(None, {"verb": "vms.reboot", "vms": uuids, "params": {}}), user=admin)
        work.run(job.pk)
        Job.objects.filter(pk=job.pk).update(state="queued", attempt=1)
        work.run(job.pk)
        assert job.children.count() == 1
