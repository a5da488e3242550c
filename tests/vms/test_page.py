"""The page of one VM and what can be done from it."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import User
from hosts.models import Host
from jobs.models import Job
from tests.factories import GIB, make_host, make_pool, make_vm
from vms.actions import menu
from vms.models import DefinitionVersion, Presence, Vm
from vms.states import VmState
from vms.troubles import troubles
from vms.xml_view import difference, lines_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
XML = "<domain type='test'>\n  <name>web-07</name>\n  <!-- <b>note</b> -->\n</domain>"
TABS = ("detail", "hardware", "definition", "jobs", "head", "facts", "thumbnail", "row", "menu", "migration")
DIALOGS = ("rename", "edit", "resize", "delete", "forget", "start_anyway", "migrate")


@pytest.fixture
def vm(lab_user: User) -> Vm:
    host = make_host("vmhost1")
    vm = make_vm(host, owner=lab_user, pool=make_pool("vmstorage", host), addresses=["10.0.0.7"], definition=XML)
    DefinitionVersion.objects.create(vm=vm, xml=XML, cause="adopted")
    return vm


def url(name: str, vm: Vm, *more: Any) -> str:
    return reverse(f"vms:{name}", args=[vm.uuid, *more])


def titles(vm: Vm, user: User) -> list[str]:
    vm.refresh_from_db()
    return [str(trouble.title) for trouble in troubles(vm, user)]


@pytest.mark.parametrize("tab", TABS)
def test_it_works(admin_client: Client, vm: Vm, tab: str) -> None:
    answer = admin_client.get(url(tab, vm))
    assert answer.status_code == 200
    if tab in {"detail", "facts"}:
        assert "10.0.0.7" in answer.content.decode()


@pytest.mark.parametrize("tab", TABS)
def test_owner_and_stranger(client: Client, lab_user: User, vm: Vm, tab: str) -> None:
    client.force_login(lab_user)
    shown = client.get(url(tab, vm))
    assert shown.status_code == (404 if tab == "definition" else 200), "the definition names hosts, paths, bridges"
    assert "vmhost1" not in shown.content.decode()
    client.force_login(User.objects.create_user("tom", password="correct horse 7"))
    answer = client.get(url(tab, vm))
    assert answer.status_code == 404 or answer.content == b""


def test_few_queries(admin_client: Client, vm: Vm, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(14):
        admin_client.get(url("detail", vm))


def test_owner_sees_no_links_to_hosts(client: Client, lab_user: User, vm: Vm) -> None:
    client.force_login(lab_user)
    assert "/hosts/" not in client.get(url("facts", vm)).content.decode()


@pytest.mark.parametrize("state", VmState.values)
def test_every_state_has_a_page(admin_client: Client, vm: Vm, state: str) -> None:
    Vm.objects.filter(pk=vm.pk).update(observed_state=state)
    for tab in ("detail", "row", "menu"):
        assert admin_client.get(url(tab, vm)).status_code == 200


def test_vm_without_a_host(admin_client: Client) -> None:
    vm = make_vm(None, missing_since=timezone.now())
    for tab in TABS:
        assert admin_client.get(url(tab, vm)).status_code == 200
    for dialog in DIALOGS:
        assert admin_client.get(url(dialog, vm)).status_code == 200


class TestActions:
    @pytest.mark.parametrize(
        ("verb", "before", "operation"),
        [
            ("start", "off", "vms.start"),
            ("shutdown", "running", "vms.shutdown"),
            ("reboot", "running", "vms.reboot"),
            ("force-off", "running", "vms.force-off"),
            ("reset", "running", "vms.reset"),
            ("pause", "running", "vms.pause"),
            ("resume", "paused", "vms.resume"),
            ("autostart-on", "running", "vms.autostart"),
        ],
    )
    def test_buttons(self, admin_client: Client, admin: User, vm: Vm, verb: str, before: str, operation: str) -> None:
        Vm.objects.filter(pk=vm.pk).update(observed_state=before)
        answer = admin_client.post(url("act", vm, verb))
        job = Job.objects.get()
        assert (answer.status_code, answer.headers["Location"]) == (302, job.get_absolute_url())
        assert (job.operation, job.user, job.target_key) == (operation, admin, str(vm.uuid))

    def test_get_changes_nothing(self, admin_client: Client, vm: Vm) -> None:
        assert admin_client.get(url("act", vm, "force-off")).status_code == 405
        assert not Job.objects.exists()

    def test_htmx(self, admin_client: Client, vm: Vm) -> None:
        answer = admin_client.post(url("act", vm, "reboot"), headers={"HX-Request": "true"})
        assert answer.status_code == 204
        assert "drover:job" in answer.headers["HX-Trigger"]

    def test_refused_says_why(self, admin_client: Client, vm: Vm) -> None:
        answer = admin_client.post(url("act", vm, "start"), follow=True)
        assert "Not possible while it is running." in answer.content.decode()
        assert not Job.objects.exists()

    def test_unknown_verb(self, admin_client: Client, vm: Vm) -> None:
        assert admin_client.post(url("act", vm, "explode")).status_code == 404

    def test_owner_may_power_and_edit_but_not_change(self, client: Client, lab_user: User, vm: Vm) -> None:
        client.force_login(lab_user)
        assert client.post(url("act", vm, "reboot")).status_code == 302
        for dialog in ("rename", "edit", "rebuild", "take_snapshot"):
            assert client.get(url(dialog, vm)).status_code == 200
        assert "owner" not in client.get(url("edit", vm)).context["form"].fields
        for dialog in ("resize", "delete", "forget", "migrate"):
            assert client.get(url(dialog, vm)).status_code == 403
            assert client.post(url(dialog, vm), {"typed": vm.name}).status_code == 403
        assert client.post(url("act", vm, "autostart-on")).status_code == 403
        assert Job.objects.count() == 1

    def test_stranger(self, client: Client, vm: Vm) -> None:
        client.force_login(User.objects.create_user("tom", password="correct horse 7"))
        assert client.post(url("act", vm, "reboot")).status_code == 404

    def test_menu_tells_reasons(self, admin: User, lab_user: User, vm: Vm) -> None:
        offers = {offer.action.verb: offer for group in menu(admin, vm) for offer in group}
        assert offers["delete"].reason == "It is running: shut it down or force it off first."
        assert offers["reboot"].reason == ""
        assert "start" not in offers
        theirs = {offer.action.verb: offer for group in menu(lab_user, vm) for offer in group}
        assert {"edit", "rename", "snapshot"} < set(theirs)
        assert not {"resize", "migrate", "delete"} & set(theirs), "what one may never do is not there"


class TestDialogs:
    @pytest.mark.parametrize("name", DIALOGS)
    def test_open(self, admin_client: Client, vm: Vm, name: str) -> None:
        assert admin_client.get(url(name, vm)).status_code == 200
        fragment = admin_client.get(url(name, vm), headers={"HX-Request": "true"})
        assert b"<html" not in fragment.content

    def test_rename(self, admin_client: Client, vm: Vm) -> None:
        Vm.objects.update(observed_state=VmState.OFF)
        bad = admin_client.post(url("rename", vm), {"name": "a b"})
        assert bad.status_code == 422
        assert "Use letters" in bad.content.decode()
        assert admin_client.post(url("rename", vm), {"name": "shop-01"}).status_code == 302
        assert Job.objects.get().params == {"name": "shop-01"}

    def test_edit(self, admin_client: Client, vm: Vm, lab_user: User) -> None:
        form = {"title": "shop", "description": "x", "tags": "prod, web", "owner": str(lab_user.pk)}
        assert admin_client.post(url("edit", vm), form).status_code == 302
        assert Job.objects.get().params == {**form, "tags": ["prod", "web"], "owner": lab_user.pk, "group": None}
        assert admin_client.post(url("edit", vm), {**form, "title": "x" * 299}).status_code == 422

    def test_resize_sends_only_what_changed(self, admin_client: Client, vm: Vm) -> None:
        Vm.objects.update(definition="")
        answer = admin_client.post(url("resize", vm), {"vcpus": "2", "max_vcpus": "", "memory_bytes": "1 GiB"})
        assert answer.status_code == 302
        assert Job.objects.get().params == {"vcpus": 2}

    @pytest.mark.parametrize("size", ["0", "-1 GiB", "much", "1e9", "99999999999 TiB"])
    def test_resize_nonsense(self, admin_client: Client, vm: Vm, size: str) -> None:
        form = {"vcpus": "1", "memory_bytes": size}
        assert admin_client.post(url("resize", vm), form).status_code == 422
        assert not Job.objects.exists()

    def test_disk(self, admin_client: Client, vm: Vm) -> None:
        assert admin_client.get(url("disk", vm, "vda")).status_code == 200
        assert admin_client.post(url("disk", vm, "vda"), {"size_bytes": "5 GiB"}).status_code == 422
        assert admin_client.post(url("disk", vm, "vda"), {"size_bytes": "20 GiB"}).status_code == 302
        assert Job.objects.get().params == {"target": "vda", "size_bytes": 20 * GIB}
        assert admin_client.get(url("disk", vm, "vdz")).status_code == 404

    def test_delete_wants_the_name(self, admin_client: Client, vm: Vm) -> None:
        Vm.objects.update(observed_state=VmState.OFF)
        assert admin_client.post(url("delete", vm), {"typed": "web"}).status_code == 422
        assert admin_client.post(url("delete", vm), {}).status_code == 422
        assert not Job.objects.exists()
        assert admin_client.post(url("delete", vm), {"typed": "web-07"}).status_code == 302
        assert Job.objects.get().params == {"disks": []}

    def test_confirm(self, admin_client: Client, vm: Vm) -> None:
        assert admin_client.get(url("confirm", vm) + "?verb=force-off").status_code == 200
        assert admin_client.get(url("confirm", vm) + "?verb=delete").status_code == 404

    def test_start_anyway(self, admin_client: Client, vm: Vm) -> None:
        """Every silent host is named and confirmed."""
        silent = make_host("vmhost2", observed_state="unreachable")
        Presence.objects.create(vm=vm, host=silent, observed_state=VmState.OFF)
        Vm.objects.update(observed_state=VmState.OFF)
        assert "vmhost2" in admin_client.get(url("start_anyway", vm)).content.decode()
        assert admin_client.post(url("start_anyway", vm), {}).status_code == 422
        assert admin_client.post(url("start_anyway", vm), {"hosts": ["999"]}).status_code == 422
        assert admin_client.post(url("start_anyway", vm), {"hosts": [str(silent.pk)]}).status_code == 302
        assert Job.objects.get().params == {"force": True, "silent_hosts": [silent.pk]}


class TestTroubles:
    def test_none(self, vm: Vm, admin: User) -> None:
        assert titles(vm, admin) == []

    def test_duplicate(self, vm: Vm, admin: User, admin_client: Client) -> None:
        second = make_host("vmhost2")
        Presence.objects.create(vm=vm, host=second, observed_state=VmState.RUNNING)
        Vm.objects.update(is_duplicate=True)
        assert titles(vm, admin) == ["It runs on more than one host: vmhost1, vmhost2"]
        ways = troubles(vm, admin)[0].ways
        assert [str(way.label) for way in ways] == ["Force it off on vmhost1…", "Force it off on vmhost2…"]
        assert f'name="host" value="{second.pk}"' in admin_client.get(ways[1].url).content.decode()
        admin_client.post(url("act", vm, "force-off"), {"host": str(second.pk)})
        assert Job.objects.get().params == {"host": second.pk}

    def test_missing(self, vm: Vm, admin: User, lab_user: User) -> None:
        Vm.objects.update(missing_since=timezone.now())
        assert titles(vm, admin) == ["Missing"]
        assert [str(way.label) for way in troubles(vm, admin)[0].ways] == ["Forget it…"]
        assert troubles(vm, lab_user)[0].ways == []

    def test_silent_host(self, vm: Vm, admin: User) -> None:
        Host.objects.update(observed_state="unreachable")
        assert titles(vm, admin) == ["vmhost1 does not answer"]

    def test_crashed(self, vm: Vm, admin: User) -> None:
        Vm.objects.update(observed_state=VmState.CRASHED)
        assert titles(vm, admin) == ["Crashed"]

    def test_transient(self, vm: Vm, admin: User) -> None:
        Vm.objects.update(is_persistent=False)
        assert titles(vm, admin) == ["Only as long as it runs"]

    def test_not_made(self, vm: Vm, admin: User) -> None:
        Vm.objects.update(observed_state=VmState.CREATING)
        assert titles(vm, admin) == ["Not made"]

    def test_shutdown_that_was_not_obeyed(self, vm: Vm, admin: User, admin_client: Client) -> None:
        job = self.failed(vm, admin, "vms.shutdown", choice="off")
        assert titles(vm, admin) == ["It did not shut down"]
        assert [str(way.label) for way in troubles(vm, admin)[0].ways] == ["Wait 2 more minutes", "Force off…"]
        assert job.error in admin_client.get(url("facts", vm)).content.decode()

    def test_start_that_was_not_safe(self, vm: Vm, admin: User) -> None:
        silent = make_host("vmhost2", observed_state="unreachable")
        Presence.objects.create(vm=vm, host=silent, observed_state=VmState.OFF)
        Vm.objects.update(observed_state=VmState.OFF)
        self.failed(vm, admin, "vms.start", silent_hosts=[silent.pk])
        assert titles(vm, admin) == ["Not started, to be safe"]
        assert [str(way.label) for way in troubles(vm, admin)[0].ways] == ["Try again", "Start anyway…"]

    def failed(self, vm: Vm, user: User, operation: str, **result: Any) -> Job:
        return Job.objects.create(
            operation=operation,
            title="x",
            user=user,
            target_kind="vm",
            target_key=str(vm.uuid),
            state="failed",
            error="It did not work out.",
            result=result,
        )


class TestDefinition:
    def test_shown_as_text(self, admin_client: Client, vm: Vm) -> None:
        text = admin_client.get(url("definition", vm)).content.decode()
        assert "&lt;b&gt;note&lt;/b&gt;" in text
        assert "<b>note" not in text

    def test_what_a_version_changed(self, admin_client: Client, vm: Vm) -> None:
        newer = DefinitionVersion.objects.create(vm=vm, xml=XML.replace("web-07", "shop"), cause="job 17")
        text = admin_client.get(url("definition", vm) + f"?version={newer.pk}").content.decode()
        assert "job 17" in text
        assert "+  &lt;name&gt;shop&lt;/name&gt;" in text
        first = vm.definitions.last()
        assert first is not None
        assert "first definition" in admin_client.get(url("definition", vm) + f"?version={first.pk}").content.decode()

    def test_version_of_another_vm(self, admin_client: Client, vm: Vm) -> None:
        other = DefinitionVersion.objects.create(vm=make_vm(None, "x"), xml="<secret/>")
        assert "secret" not in admin_client.get(url("definition", vm) + f"?version={other.pk}").content.decode()

    def test_pieces(self) -> None:
        kinds = [(piece.kind, piece.text) for piece in lines_of("<a b='1'>t</a>")[0]]
        assert kinds == [
            ("tag", "<a"),
            ("name", " b"),
            ("", "="),
            ("value", "'1'"),
            ("tag", ">"),
            ("", "t"),
            ("tag", "</a"),
            ("tag", ">"),
        ]

    def test_difference(self) -> None:
        assert [line.kind for line in difference("a\nb", "a\nc")] == ["place", "", "remove", "add"]


def test_charts(admin_client: Client, vm: Vm) -> None:
    data = admin_client.get(url("charts", vm)).json()
    assert {"t", "cpu", "memory"} <= set(data)


def test_deleted_while_its_page_is_open(admin_client: Client, admin: User, vm: Vm) -> None:
    """The head tells what happened and by whom; the other live pieces stay quiet."""
    live = {"HX-Request": "true"}
    job = Job.objects.create(
        operation="vms.delete",
        title="Delete web-07",
        user=admin,
        target_kind="vm",
        target_key=str(vm.uuid),
        target_label="web-07",
    )
    addresses = [url(name, vm) for name in ("head", "facts", "thumbnail", "hardware", "jobs", "migration")]
    vm.delete()
    head = admin_client.get(addresses[0], headers=live)
    assert head.headers["HX-Retarget"] == "#content"
    assert "web-07 is gone" in head.content.decode()
    assert job.get_absolute_url() in head.content.decode()
    assert [admin_client.get(address, headers=live).status_code for address in addresses[1:]] == [204] * 5
    assert admin_client.get(addresses[0]).status_code == 404


def test_notes_have_an_end(client: Client, lab_user: User, vm: Vm) -> None:
    client.force_login(lab_user)
    assert client.post(url("edit", vm), {"description": "x" * 2001}).status_code == 422
    assert client.post(url("edit", vm), {"description": "x" * 2000, "tags": "os-2026"}).status_code == 302
    assert Job.objects.get().params["tags"] == ["os-2026"]
