"""Power operations on libvirt's simulated host."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from access.models import User
from hosts.models import Host
from hosts.states import HostState
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from jobs.operations import by_name
from tests.factories import make_host, make_pool
from virt import guests
from virt.connection import connect
from vms import sync
from vms.models import Presence, Vm
from vms.operations.power import ForceOffVm, ShutDownVm, StartVm
from vms.states import VmState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
MakeVm = Callable[..., Vm]
Do = Callable[..., Job]


def real_state(vm: Vm) -> str | None:
    assert vm.host is not None
    with connect(vm.host.target) as conn:
        return guests.state_of(conn, str(vm.uuid))


def test_it_works(a_vm: MakeVm, do: Do) -> None:
    vm = a_vm(running=False)
    job = do(StartVm(vm))
    vm.refresh_from_db()
    assert job.state == "succeeded"
    assert real_state(vm) == "running"
    assert (vm.state, vm.job_id) == (VmState.RUNNING, None)
    assert job.commands == [f"virsh -c {vm.host.target.shown_uri} start web-07"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("vms.shutdown", "running", "off"),
        ("vms.force-off", "running", "off"),
        ("vms.reboot", "running", "running"),
        ("vms.pause", "running", "paused"),
        ("vms.start", "off", "running"),
    ],
)
def test_verbs(a_vm: MakeVm, do: Do, verb: str, before: str, after: str) -> None:
    vm = a_vm(running=before == "running")
    assert do(by_name(verb)(vm)).state == "succeeded"
    assert real_state(vm) == after
    vm.refresh_from_db()
    assert vm.observed_state == after


def test_pause_and_resume(a_vm: MakeVm, do: Do) -> None:
    vm = a_vm()
    do(by_name("vms.pause")(vm))
    vm.refresh_from_db()
    assert do(by_name("vms.resume")(vm)).state == "succeeded"
    assert real_state(vm) == "running"


@pytest.mark.parametrize("enabled", [True, False])
def test_autostart(a_vm: MakeVm, do: Do, enabled: bool) -> None:
    vm = a_vm()
    assert do(by_name("vms.autostart")(vm, {"enabled": not enabled})).state == "succeeded"
    assert do(by_name("vms.autostart")(vm, {"enabled": enabled})).state == "succeeded"
    vm.refresh_from_db()
    assert vm.autostart is enabled


def test_wrong_state(a_vm: MakeVm, admin: User) -> None:
    with pytest.raises(Refused, match="running"):
        enqueue(StartVm(a_vm()), user=admin)
    assert not Job.objects.exists()


def test_no_right(a_vm: MakeVm, lab_user: User) -> None:
    with pytest.raises(PermissionDenied):
        enqueue(by_name("vms.autostart")(a_vm(), {"enabled": True}), user=lab_user)


def test_host_down(a_vm: MakeVm, admin: User, host: Host) -> None:
    vm = a_vm()
    Host.objects.filter(pk=host.pk).update(observed_state=HostState.UNREACHABLE)
    vm = Vm.objects.select_related("host").get(pk=vm.pk)
    with pytest.raises(Refused, match="does not answer"):
        enqueue(ForceOffVm(vm), user=admin)


def test_busy(a_vm: MakeVm, admin: User) -> None:
    vm = a_vm()
    vm.job = Job.objects.create(operation="vms.reboot", title="Reboot web-07", state="running")
    vm.save(update_fields=["job"])
    with pytest.raises(Refused, match="Reboot web-07"):
        enqueue(ForceOffVm(vm), user=admin)


def test_state_changed_while_waiting(a_vm: MakeVm, admin: User) -> None:
    """The job was accepted, then the VM was switched off by somebody else: it says so and changes nothing."""
    from jobs import work

    vm = a_vm()
    job = enqueue(by_name("vms.reboot")(vm), user=admin)
    assert vm.host is not None
    with connect(vm.host.target) as conn:
        guests.destroy(conn, str(vm.uuid))
    sync.refresh_vm(vm.host, str(vm.uuid))
    work.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "Not possible while it is off.")


def test_repeated_start_finds_it_running(a_vm: MakeVm, admin: User) -> None:
    """The worker died after the start: the second run says so instead of failing."""
    from jobs import work

    vm = a_vm(running=False)
    job = enqueue(StartVm(vm), user=admin)
    assert vm.host is not None
    with connect(vm.host.target) as conn:
        guests.start(conn, str(vm.uuid))
    Job.objects.filter(pk=job.pk).update(attempt=1)
    work.run(job.pk)
    job.refresh_from_db()
    assert job.state == "succeeded"
    assert job.result["started"] is False


def test_vm_that_vanished(a_vm: MakeVm, do: Do) -> None:
    vm = a_vm(running=False)
    assert vm.host is not None
    with connect(vm.host.target) as conn:
        guests.undefine(conn, str(vm.uuid))
    job = do(StartVm(vm))
    assert job.state == "failed"
    assert "not on the host" in job.error
    vm.refresh_from_db()
    assert vm.job_id is None
    assert vm.missing_since is not None


class TestLaw4:
    """Nothing starts that may be running elsewhere."""

    @pytest.fixture
    def other(self, host: Host) -> Host:
        return make_host("vmhost2")

    @pytest.fixture
    def vm(self, a_vm: MakeVm, host: Host, other: Host) -> Vm:
        vm = a_vm(running=False)
        Presence.objects.create(vm=vm, host=other, observed_state=VmState.OFF)
        return vm

    def test_silent_host_stops_the_start(self, vm: Vm, other: Host, do: Do) -> None:
        Host.objects.filter(pk=other.pk).update(observed_state=HostState.UNREACHABLE)
        job = do(StartVm(vm))
        assert job.state == "failed"
        assert "vmhost2 can't be asked" in job.error
        assert job.result["silent_hosts"] == [other.pk]
        assert real_state(vm) == "off"

    def test_a_persons_word_for_that_host(self, vm: Vm, other: Host, do: Do) -> None:
        Host.objects.filter(pk=other.pk).update(observed_state=HostState.UNREACHABLE)
        job = do(StartVm(vm, {"force": True, "silent_hosts": [other.pk]}))
        assert job.state == "succeeded"
        assert "on a person's word" in job.lines.get(level="warning").text

    def test_the_word_holds_for_named_hosts_only(self, vm: Vm, other: Host, do: Do) -> None:
        third = make_host("vmhost3", observed_state=HostState.UNREACHABLE)
        Presence.objects.create(vm=vm, host=third, observed_state=VmState.OFF)
        Host.objects.filter(pk=other.pk).update(observed_state=HostState.UNREACHABLE)
        job = do(StartVm(vm, {"force": True, "silent_hosts": [other.pk]}))
        assert job.state == "failed"
        assert "vmhost3" in job.error
        assert real_state(vm) == "off"

    def test_force_without_naming(self, vm: Vm, admin: User) -> None:
        with pytest.raises(Refused, match="Name the hosts"):
            enqueue(StartVm(vm, {"force": True}), user=admin)

    def test_host_known_to_be_off(self, vm: Vm, other: Host, do: Do) -> None:
        Host.objects.filter(pk=other.pk).update(observed_state=HostState.FENCED)
        assert do(StartVm(vm)).state == "succeeded"

    def test_host_that_does_not_answer_the_question(self, vm: Vm, other: Host, do: Do) -> None:
        """Up in the database, dead in truth."""
        Host.objects.filter(pk=other.pk).update(transport="tcp", address="127.0.0.1", port=9)
        job = do(StartVm(vm))
        assert job.state == "failed"
        assert "vmhost2" in job.error

    def test_running_elsewhere(self, vm: Vm, host: Host, do: Do, tmp_path: Any) -> None:
        """The other host is another simulated world in which the same VM runs."""
        xml = tmp_path / "node.xml"
        xml.write_text(
            f"<node><domain type='test'><name>web-07</name><uuid>{vm.uuid}</uuid><memory>8192</memory>"
            "<os><type>hvm</type></os></domain></node>"
        )
        third = make_host("vmhost3", path=str(xml))
        Presence.objects.create(vm=vm, host=third, observed_state=VmState.RUNNING)
        job = do(StartVm(vm))
        assert job.state == "failed"
        assert "runs already on vmhost3" in job.error
        assert real_state(vm) == "off"

    def test_shared_pool_counts(self, vm: Vm, host: Host, do: Do) -> None:
        """Never seen there, but its disk is: such a host is asked too."""
        silent = make_host("vmhost4", observed_state=HostState.UNREACHABLE)
        pool = make_pool("shared", host, silent)
        hardware = {
            **vm.hardware,
            "disks": [{"device": "disk", "target": "vda", "path": f"{pool.target_path}/x.qcow2"}],
        }
        Vm.objects.filter(pk=vm.pk).update(hardware=hardware)
        job = do(StartVm(Vm.objects.get(pk=vm.pk)))
        assert job.state == "failed"
        assert "vmhost4" in job.error

    def test_local_disk_concerns_nobody_else(self, a_vm: MakeVm, host: Host, do: Do) -> None:
        make_host("vmhost4", observed_state=HostState.UNREACHABLE)
        assert do(StartVm(a_vm("alone", running=False))).state == "succeeded"


class TestShutDown:
    def test_bad_time(self, a_vm: MakeVm, admin: User) -> None:
        for timeout in (0, -5, 10**18, "soon"):
            with pytest.raises(Refused, match="between"):
                enqueue(ShutDownVm(a_vm(f"vm-{timeout}"), {"timeout_s": timeout}), user=admin)

    @pytest.mark.thorough
    def test_guest_that_does_not_listen(self, a_vm: MakeVm, do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
        """The simulated host obeys at once, so the request is kept from it; the rest is as it is."""
        monkeypatch.setattr(guests, "shutdown", lambda conn, uuid: None)
        vm = a_vm()
        job = do(ShutDownVm(vm, {"timeout_s": 5}))
        assert job.state == "failed"
        assert "within 5 s" in job.error
        assert job.result["choice"] == "off"
        assert real_state(vm) == "running"


class TestDuplicate:
    def test_only_force_off_and_only_on_a_named_host(self, a_vm: MakeVm, admin: User, host: Host) -> None:
        vm = a_vm()
        Vm.objects.filter(pk=vm.pk).update(is_duplicate=True)
        vm.refresh_from_db()
        with pytest.raises(Refused, match="two hosts"):
            enqueue(by_name("vms.reboot")(vm), user=admin)
        with pytest.raises(Refused, match="choose on which"):
            enqueue(ForceOffVm(vm), user=admin)
        assert enqueue(ForceOffVm(vm, {"host": host.pk}), user=admin).state == "queued"

    def test_host_it_was_never_on(self, a_vm: MakeVm, do: Do) -> None:
        stranger = make_host("vmhost9")
        vm = a_vm()
        job = do(ForceOffVm(vm, {"host": stranger.pk}))
        assert job.state == "failed"
        assert real_state(vm) == "running"
