"""The watch of one host against libvirt's simulated hosts, without threads; claims of several processes."""

import importlib
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from cluster.watch.host import HostWatch, SameMachine
from cluster.watch.leases import Leases
from hosts.models import Host, NetworkOnHost
from hosts.states import HostState
from storage.models import PoolOnHost
from tests.cluster.watching import CountingBinding, simulated, until, watch_of
from tests.factories import make_host
from virt.errors import AuthenticationFailed, HostUnreachable
from virt.events import Kind, Note
from vms.models import Vm
from vms.states import VmState

pytestmark = pytest.mark.django_db


@pytest.fixture
def watch(tmp_path: Path, settings: Any) -> Iterator[HostWatch]:
    settings.METRICS_DIR = tmp_path / "metrics"
    watch = watch_of(simulated(tmp_path, 3))
    watch.connect()
    yield watch
    watch.disconnect()


def domain(watch: HostWatch, name: str) -> Any:
    return watch.connection().lookupByName(name)


def test_a_first_look_fills_everything(watch: HostWatch) -> None:
    watch.sweep()
    watch.read_unread()
    watch.chores.begin(time.monotonic())
    watch.chores.run_due(time.monotonic())
    host = Host.objects.get()
    assert (host.state, host.cpus, host.memory_bytes) == (HostState.UP, 16, 3 << 30)
    assert re.fullmatch(r"\d+\.\d+\.\d+", host.libvirt_version)
    assert host.facts_at is not None
    assert host.topology == {"sockets": 2, "cores": 2, "threads": 2, "numa_nodes": 2}
    assert sorted(Vm.objects.values_list("name", "observed_state", "memory_bytes")) == [
        (f"vm{number}", "running", 128 << 20) for number in range(3)
    ]
    assert all("<domain" in xml for xml in Vm.objects.values_list("definition", flat=True))
    lan = NetworkOnHost.objects.get()
    assert (lan.network.name, lan.network.mode, lan.is_active, lan.bridge) == ("lan", "nat", True, "virbr7")
    cell = PoolOnHost.objects.get()
    assert (cell.pool.name, cell.pool.kind, cell.pool.is_adopted, cell.is_active) == ("images", "dir", True, True)
    assert cell.capacity_bytes


def state_of(name: str) -> str:
    return Vm.objects.get(name=name).state


def test_an_event_changes_the_row(watch: HostWatch) -> None:
    watch.sweep()
    watch.read_unread()
    domain(watch, "vm1").suspend()
    until(watch, lambda: state_of("vm1") == VmState.PAUSED)
    domain(watch, "vm1").destroy()
    until(watch, lambda: state_of("vm1") == VmState.OFF)
    domain(watch, "vm1").undefine()
    until(watch, lambda: Vm.objects.get(name="vm1").missing_since is not None)
    assert Vm.objects.exclude(name="vm1").filter(missing_since=None).count() == 2


def test_a_definition_changed_by_hand_is_read(watch: HostWatch) -> None:
    watch.sweep()
    watch.read_unread()
    xml = domain(watch, "vm2").XMLDesc(2)
    watch.connection().defineXML(xml.replace("<vcpu placement='static'>1<", "<vcpu placement='static'>2<"))
    until(watch, lambda: ">2</vcpu>" in Vm.objects.get(name="vm2").definition)


def test_many_events_at_once_are_all_stored(tmp_path: Path) -> None:
    crowded = watch_of(simulated(tmp_path, 40, "crowded"))
    crowded.connect()
    crowded.sweep()
    for one in crowded.connection().listAllDomains():
        one.destroy()
    until(crowded, lambda: Vm.objects.filter(observed_state=VmState.OFF).count() == 40)
    crowded.disconnect()


def test_a_sweep_of_500_vms_takes_at_most_five_calls_and_no_xml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.METRICS_DIR = tmp_path / "metrics"
    watch = watch_of(simulated(tmp_path, 500))
    watch.connect()
    watch.sweep()
    libvirt = importlib.import_module("libvirt")
    counting = CountingBinding(libvirt.libvirtmod)
    monkeypatch.setattr(libvirt, "libvirtmod", counting)
    watch.sweep()
    with_marks = dict(counting.calls)
    monkeypatch.undo()
    assert sum(with_marks.values()) <= 5, with_marks
    assert not any("XML" in name for name in with_marks)
    assert Vm.objects.count() == 500
    watch.disconnect()


def test_a_lost_connection_is_noticed_and_said(watch: HostWatch) -> None:
    watch.sweep()
    with pytest.raises(HostUnreachable):
        watch.handle([Note(Kind.CLOSED, "")])
    watch.mark(HostUnreachable("The host does not answer."))
    host = Host.objects.get()
    assert (host.state, host.last_error) == (HostState.UNREACHABLE, "The host does not answer.")
    assert Vm.objects.first().state == VmState.UNKNOWN  # type: ignore[union-attr]
    watch.sweep()
    host.refresh_from_db()
    assert (host.state, host.last_error) == (HostState.UP, "")


def test_what_could_not_be_stored_is_not_lost(watch: HostWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.sweep()
    watch.read_unread()
    domain(watch, "vm0").destroy()
    notes: list[Note] = []
    while not notes:
        notes = watch.inbox.take(1)

    def away(*_args: Any, **_kwargs: Any) -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr("vms.sync.apply", away)
        with pytest.raises(DatabaseError):
            watch.handle(notes)
    until(watch, lambda: state_of("vm0") == VmState.OFF)


def test_a_host_that_is_another_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_host("vmhost1")
    watch = watch_of(simulated(tmp_path, 2))
    monkeypatch.setattr("cluster.watch.host.identify", lambda _conn: str(first.uuid))
    with pytest.raises(SameMachine) as caught:
        watch.connect()
    watch.lost(caught.value)
    host = Host.objects.get(name="simulated")
    assert host.state == HostState.REFUSED
    assert "vmhost1" in host.last_error
    assert not Vm.objects.exists()
    watch.disconnect()


def test_refused_is_not_the_same_as_silent(watch: HostWatch) -> None:
    watch.lost(AuthenticationFailed("The host does not accept Drover's key."))
    assert Host.objects.get().state == HostState.REFUSED


def test_a_host_known_to_be_off_stays_so_while_it_is_silent(watch: HostWatch) -> None:
    watch.sweep()
    Host.objects.update(observed_state=HostState.FENCED)
    watch.mark(HostUnreachable("The host does not answer."))
    assert Host.objects.get().state == HostState.FENCED


def test_a_removed_host_is_watched_no_longer(watch: HostWatch) -> None:
    watch.sweep()
    Host.objects.all().delete()
    watch.sweep()
    assert watch.stopping.is_set()


# --- claims ----------------------------------------------------------------------------------------------------------


def test_one_process_takes_every_host() -> None:
    hosts = {make_host(f"h{number}").pk for number in range(5)}
    assert Leases("one").tick() == hosts


def test_several_processes_share() -> None:
    for number in range(10):
        make_host(f"h{number}")
    one, two, three = Leases("one"), Leases("two"), Leases("three")
    for _round in range(8):
        held = [leases.tick() for leases in (one, two, three)]
    held = [leases.tick() for leases in (one, two, three)]
    assert sorted(len(ids) for ids in held) == [3, 3, 4]
    assert len(set.union(*held)) == 10


def test_claims_of_a_dead_process_run_out() -> None:
    make_host()
    one, two = Leases("elsewhere:1:a"), Leases("elsewhere:2:b")
    assert one.tick()
    assert two.tick() == set()
    Host.objects.update(watcher_until=timezone.now() - timedelta(seconds=1))
    assert len(two.tick()) == 1
    assert one.tick() == set()


def test_what_is_given_back_is_free_at_once() -> None:
    make_host()
    one, two = Leases("elsewhere:1:a"), Leases("elsewhere:2:b")
    one.tick()
    one.release()
    assert len(two.tick()) == 1


def test_a_host_that_is_still_being_added_is_left_alone() -> None:
    make_host(is_managed=False)
    assert Leases("one").tick() == set()
