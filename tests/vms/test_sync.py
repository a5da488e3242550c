"""What hosts report -> rows: adoption, following by UUID, missing, duplicates, definitions."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from access.models import User
from hosts.models import Host
from hosts.states import HostState
from jobs.models import Job, JobLock
from jobs.states import State
from tests.factories import make_host, make_vm
from virt.inventory.domains import Counters, DomainDetail, DomainState, Marks
from virt.inventory.figures import Figures
from vms import sync
from vms.models import MacAddress, Presence, Tag, Vm
from vms.round import Observed
from vms.states import VmState

pytestmark = pytest.mark.django_db
MIB = 1024 * 1024


def definition(uuid: str, name: str = "web-07", *, memory_mib: int = 512, mac: str = "52:54:00:00:00:07") -> str:
    return f"""<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>{memory_mib}</memory>
<vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/pool/{name}.qcow2'/>
<target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/><model type='virtio'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>"""


def seen(uuid: str, state: str = "running", *, name: str = "web-07", transit: bool = False, **more: Any) -> Observed:
    counters = Counters(at=0.0)
    return Observed(DomainState(uuid, name, state, transit, counters), **more)


def detail(uuid: str, *, live: bool = True, xml: str = "", is_persistent: bool = True) -> DomainDetail:
    kept = xml or definition(uuid)
    live_xml = kept.replace("<domain type='qemu'>", "<domain type='qemu' id='3'>") if live else ""
    return DomainDetail(uuid, is_persistent, False if is_persistent else None, kept, live_xml, False)


def report(host: Host, *observed: Observed, **more: Any) -> sync.Outcome:
    """One full answer of a host, now."""
    now = timezone.now()
    Host.objects.filter(pk=host.pk).update(seen_at=now, observed_state=HostState.UP)
    host.refresh_from_db()
    return sync.apply(host, observed, read_at=now, **{"is_complete": True, **more})


def test_a_vm_that_is_found_is_adopted_as_it_is() -> None:
    host, uuid = make_host(), str(uuid4())
    outcome = report(host, seen(uuid))
    assert outcome.unread == {uuid}
    report(host, seen(uuid, detail=detail(uuid)), is_complete=False)
    vm = Vm.objects.get(uuid=uuid)
    assert (vm.name, vm.state, vm.host, vm.is_adopted, vm.owner) == ("web-07", VmState.RUNNING, host, True, None)
    assert (vm.memory_bytes, vm.vcpus, vm.read_from) == (512 * MIB, 2, host)
    assert vm.hardware["disks"][0]["path"] == "/pool/web-07.qcow2"
    assert vm.hardware["nics"][0]["mac"] == "52:54:00:00:00:07"
    assert vm.hardware["has_agent"] is True
    assert list(vm.macs.values_list("mac", flat=True)) == ["52:54:00:00:00:07"]
    assert [version.cause for version in vm.definitions.all()] == ["adopted"]
    assert report(host, seen(uuid)).unread == set()


def test_the_files_of_a_vm_follow_its_definitions() -> None:
    host, uuid = make_host(), str(uuid4())
    report(host, seen(uuid, detail=detail(uuid)))
    report(host, seen(uuid, detail=detail(uuid)), is_complete=False)
    files = Vm.objects.get(uuid=uuid).disk_files
    assert list(files.values_list("path", flat=True)) == ["/pool/web-07.qcow2"]
    moved = definition(uuid).replace("/pool/", "/other/")
    changed = DomainDetail(uuid, True, False, moved, definition(uuid), False)  # from its next start on
    report(host, seen(uuid, detail=changed), is_complete=False)
    assert set(files.values_list("path", flat=True)) == {"/pool/web-07.qcow2", "/other/web-07.qcow2"}
    report(host, seen(uuid, "off", detail=detail(uuid, live=False, xml=moved)), is_complete=False)
    assert list(files.values_list("path", flat=True)) == ["/other/web-07.qcow2"]


def test_a_state_that_changed_is_stored_and_announced(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    host = make_host()
    vm = make_vm(host)
    told: list[str] = []
    monkeypatch.setattr("ui.live.publish", lambda *topics, **_data: told.extend(topics))
    with django_capture_on_commit_callbacks(execute=True):
        report(host, seen(str(vm.uuid), "off"))
    vm.refresh_from_db()
    assert (vm.state, vm.started_at) == (VmState.OFF, None)
    assert told == [f"vm.{vm.uuid}", "vms"]
    with django_capture_on_commit_callbacks(execute=True):
        report(host, seen(str(vm.uuid)))
    vm.refresh_from_db()
    assert vm.state == VmState.RUNNING
    assert vm.started_at is not None


def test_nothing_is_written_and_nobody_told_when_nothing_changed(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    host = make_host()
    vms = [make_vm(host, f"web-{number}") for number in range(30)]
    Vm.objects.update(read_from=host)
    told: list[str] = []
    monkeypatch.setattr("ui.live.publish", lambda *topics, **_data: told.extend(topics))
    observed = [seen(str(vm.uuid), name=vm.name) for vm in vms]
    now = timezone.now()
    with django_assert_max_num_queries(3):  # savepoint, one SELECT, release
        sync.apply(host, observed, read_at=now, is_complete=True)
    assert told == []


def test_a_vm_its_host_stops_reporting_is_missing_and_never_deleted(operator: User) -> None:
    host = make_host()
    vm = make_vm(host, owner=operator)
    report(host)
    vm.refresh_from_db()
    assert vm.missing_since is not None
    assert (vm.state, vm.owner) == (VmState.UNKNOWN, operator)
    report(host, seen(str(vm.uuid), "off"))
    vm.refresh_from_db()
    assert (vm.missing_since, vm.state) == (None, VmState.OFF)


def test_a_move_behind_our_back_keeps_owner_tags_and_history(operator: User) -> None:
    one, two = make_host("vmhost1"), make_host("vmhost2")
    vm = make_vm(one, owner=operator)
    uuid = str(vm.uuid)
    vm.tags.add(Tag.objects.create(name="prod"))
    report(one, seen(uuid, detail=detail(uuid)))
    report(two, seen(uuid, "paused", transit=True))
    vm.refresh_from_db()
    assert (vm.host, vm.state, vm.is_duplicate) == (one, VmState.RUNNING, False)
    report(two, seen(uuid), is_complete=False)  # the target says so before the source does
    vm.refresh_from_db()
    assert (vm.host, vm.is_duplicate) == (one, False)
    outcome = report(one)
    vm.refresh_from_db()
    assert (vm.host, vm.state, vm.is_duplicate, vm.missing_since) == (two, VmState.RUNNING, False, None)
    assert outcome.moved == {(two.pk, uuid)}
    report(two, seen(uuid, detail=detail(uuid)))
    vm.refresh_from_db()
    assert vm.read_from == two
    assert (vm.owner, [tag.name for tag in vm.tags.all()], vm.definitions.count()) == (operator, ["prod"], 1)
    assert Vm.objects.count() == 1


def test_alive_on_two_hosts_is_an_alarm_once_both_were_asked() -> None:
    one, two = make_host("vmhost1"), make_host("vmhost2")
    vm = make_vm(one)
    uuid = str(vm.uuid)
    Presence.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    report(one, seen(uuid))
    report(two, seen(uuid))
    vm.refresh_from_db()
    assert vm.is_duplicate is False
    Presence.objects.filter(host=two).update(seen_at=timezone.now() - timedelta(seconds=5))
    report(one, seen(uuid))
    report(two, seen(uuid))
    vm.refresh_from_db()
    assert (vm.is_duplicate, vm.host) == (True, one)
    report(two)
    vm.refresh_from_db()
    assert vm.is_duplicate is False


def test_no_alarm_while_a_job_of_ours_moves_it(operator: User) -> None:
    one, two = make_host("vmhost1"), make_host("vmhost2")
    vm = make_vm(one)
    job = Job.objects.create(operation="vms.migrate", title="Migrate", user=operator, state=State.RUNNING)
    JobLock.objects.create(key=f"vm:{vm.uuid}#0", job=job)
    report(two, seen(str(vm.uuid)))
    Presence.objects.update(seen_at=timezone.now() - timedelta(seconds=30))
    report(one, seen(str(vm.uuid)))
    report(two, seen(str(vm.uuid)))
    vm.refresh_from_db()
    assert vm.is_duplicate is False


def test_a_vm_last_seen_running_on_a_silent_host_stays_there() -> None:
    one, two = make_host("vmhost1"), make_host("vmhost2")
    vm = make_vm(one)
    Host.objects.filter(pk=one.pk).update(observed_state=HostState.UNREACHABLE)
    report(two, seen(str(vm.uuid), "off"))
    vm.refresh_from_db()
    assert (vm.host, vm.state) == (one, VmState.UNKNOWN)
    report(two, seen(str(vm.uuid), "running"))
    vm.refresh_from_db()
    assert (vm.host, vm.state, vm.is_duplicate) == (two, VmState.RUNNING, False)


def test_a_host_declared_off_runs_nothing_until_it_answers() -> None:
    host = make_host()
    vm = make_vm(host)
    Host.objects.filter(pk=host.pk).update(observed_state=HostState.FENCED)
    host.refresh_from_db()
    sync.settle_host(host)
    vm.refresh_from_db()
    assert vm.state == VmState.OFF
    report(host, seen(str(vm.uuid)))
    vm.refresh_from_db()
    assert vm.state == VmState.RUNNING


def test_a_definition_changed_on_the_host_gets_a_version_and_the_same_in_other_words_does_not() -> None:
    host, uuid = make_host(), str(uuid4())
    report(host, seen(uuid, detail=detail(uuid)))
    report(host, seen(uuid, detail=detail(uuid, xml=definition(uuid).replace("\n", "\n  "))))
    vm = Vm.objects.get(uuid=uuid)
    assert vm.definitions.count() == 1
    report(host, seen(uuid, detail=detail(uuid, xml=definition(uuid, memory_mib=768))))
    vm.refresh_from_db()
    assert vm.memory_bytes == 768 * MIB
    assert [version.cause for version in vm.definitions.all()] == ["changed on the host", "adopted"]


def test_a_job_that_holds_the_vm_is_the_cause(operator: User) -> None:
    host, uuid = make_host(), str(uuid4())
    report(host, seen(uuid, detail=detail(uuid)))
    job = Job.objects.create(operation="vms.resize", title="Resize", user=operator, state=State.RUNNING)
    JobLock.objects.create(key=f"vm:{uuid}#0", job=job)
    report(host, seen(uuid, detail=detail(uuid, xml=definition(uuid, memory_mib=768))))
    assert Vm.objects.get(uuid=uuid).definitions.first().cause == f"job {job.pk}"  # type: ignore[union-attr]


def test_a_host_that_only_runs_a_vm_does_not_change_what_is_kept() -> None:
    host, uuid = make_host(), str(uuid4())
    report(host, seen(uuid, detail=detail(uuid)))
    changed = detail(uuid, xml=definition(uuid, memory_mib=999), is_persistent=False)
    report(host, seen(uuid, detail=changed))
    vm = Vm.objects.get(uuid=uuid)
    assert "<memory unit='MiB'>512" in vm.definition
    assert vm.is_persistent is False


def test_a_mac_another_vm_has_stays_with_that_one() -> None:
    host, first, second = make_host(), str(uuid4()), str(uuid4())
    report(host, seen(first, name="a", detail=detail(first)))
    report(host, seen(first, name="a"), seen(second, name="b", detail=detail(second)))
    assert str(MacAddress.objects.get().vm.uuid) == first


def test_an_answer_from_before_a_removal_brings_nothing_back(operator: User) -> None:
    host, uuid = make_host(), str(uuid4())
    before = timezone.now()
    Job.objects.create(
        operation="vms.delete",
        title="Delete",
        user=operator,
        target_kind="vm",
        target_key=uuid,
        state=State.SUCCEEDED,
        finished_at=timezone.now(),
    )
    sync.apply(host, [seen(uuid)], read_at=before, is_complete=True)
    assert not Vm.objects.exists()
    report(host, seen(uuid))
    assert Vm.objects.exists()


def test_an_older_answer_does_not_undo_a_newer_one() -> None:
    host = make_host()
    vm = make_vm(host)
    before = timezone.now()
    report(host, seen(str(vm.uuid), "off"))
    sync.apply(host, [seen(str(vm.uuid), "running")], read_at=before, is_complete=True)
    vm.refresh_from_db()
    assert vm.state == VmState.OFF


def test_a_vm_being_made_becomes_what_its_host_says() -> None:
    host, uuid = make_host(), str(uuid4())
    Vm.objects.create(uuid=uuid, name="web-07", observed_state=VmState.CREATING, is_adopted=False, host=host)
    report(host, seen(uuid, "off", detail=detail(uuid, live=False)))
    vm = Vm.objects.get(uuid=uuid)
    assert (vm.state, vm.is_adopted, vm.host) == (VmState.OFF, False, host)


def test_name_autostart_and_figures_follow() -> None:
    host = make_host()
    vm = make_vm(host)
    uuid = str(vm.uuid)
    marks = Marks(persistent=frozenset({uuid}), autostart=frozenset({uuid}))
    figures = Figures(cpu_percent=12.5, memory_used_bytes=300 * MIB)
    report(host, seen(uuid, name="web-08", figures=figures), marks=marks)
    vm.refresh_from_db()
    assert (vm.name, vm.autostart, vm.cpu_percent, vm.memory_used_bytes) == ("web-08", True, 12.5, 300 * MIB)
    report(host, seen(uuid, "off", name="web-08"))
    vm.refresh_from_db()
    assert (vm.cpu_percent, vm.memory_used_bytes) == (None, None)


def test_addresses_agents_know_best_and_silence_keeps_what_was_known() -> None:
    host = make_host()
    vm = make_vm(host)
    mac = "52:54:00:00:00:01"
    MacAddress.objects.create(mac=mac, vm=vm)
    sync.store_addresses(host.pk, {mac: ["fe80::1", "10.0.0.5"], "52:54:00:ff:ff:ff": ["10.0.0.9"]}, {})
    vm.refresh_from_db()
    assert (vm.addresses, vm.address) == (["10.0.0.5"], "10.0.0.5")
    told = {str(vm.uuid): [("", "127.0.0.1"), (mac, "fd00::5"), (mac, "10.0.0.6"), ("aa:aa:aa:aa:aa:aa", "172.17.0.1")]}
    sync.store_addresses(host.pk, {mac: ["10.0.0.5"]}, told)
    vm.refresh_from_db()
    assert vm.addresses == ["10.0.0.6", "fd00::5"]
    sync.store_addresses(host.pk, {}, {})
    vm.refresh_from_db()
    assert vm.addresses == ["10.0.0.6", "fd00::5"]
    report(host, seen(str(vm.uuid), "off"))
    vm.refresh_from_db()
    assert (vm.addresses, vm.address) == ([], "")


def test_the_last_hour_of_cpu_is_sixty_figures() -> None:
    host = make_host()
    vm = make_vm(host, cpu_history=[1.0] * 60)
    sync.append_history(host.pk, {str(vm.uuid): 42.04})
    vm.refresh_from_db()
    assert len(vm.cpu_history) == 60
    assert vm.cpu_history[-2:] == [1.0, 42.0]
