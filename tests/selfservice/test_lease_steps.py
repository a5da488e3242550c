"""The jobs at the end of a lease, on libvirt's test driver: VMs really go off, lose their autostart, and go."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from access.models import User
from hosts import metrics
from jobs import work
from jobs.engine import enqueue
from jobs.models import Job
from jobs.states import State
from notices.models import Notice
from selfservice import leases, terms, unused
from selfservice.lease_operations import DeleteLease, EndLease, stamp
from selfservice.models import Request
from selfservice.states import RequestState, Step
from selfservice.usage import usage_of
from storage.models import Pool
from tests.factories import make_network
from tests.selfservice.kit import make_leased, make_offer
from virt import guests
from virt.connection import connect
from vms import sync
from vms.models import ConsoleSession, Vm
from vms.states import VmState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
DAY = timedelta(days=1)
S = RequestState


@pytest.fixture
def leased(admin: User, lab_user: User, pool: Pool, a_vm: Callable[..., Vm]) -> Request:
    """Two VMs, one of which starts with its host; their lease ended yesterday, of which people were told."""
    make_network("default", pool.presences.get().host)
    offer = make_offer(admin, pool=pool)
    first, second = a_vm("web-01"), a_vm("web-02", running=False)
    assert first.host is not None
    with connect(first.host.target) as conn:
        guests.set_autostart(conn, str(first.uuid), enabled=True)
    sync.refresh_vms(first.host)
    request = make_leased(lab_user, offer, first, second, pattern="web-##", now=timezone.now() - 15 * DAY)
    Request.objects.filter(pk=request.pk).update(warned_days=1.0, state=S.EXPIRING)
    request.refresh_from_db()
    return request


def run_all(request: Request) -> Request:
    """Whatever waits, as workers would, oldest first."""
    while (job := Job.objects.filter(state=State.QUEUED).order_by("pk").first()) is not None:
        work.run(job.pk)
    request.refresh_from_db()
    return request


def look(request: Request, after: timedelta = timedelta()) -> Request:
    leases.look(timezone.now() + after)
    return run_all(request)


def mine() -> QuerySet[Vm]:
    """Without the one that the test driver has by itself."""
    return Vm.objects.filter(name__startswith="web")


def states() -> dict[str, tuple[str, bool]]:
    """As the host says."""
    vms = {vm.name: vm for vm in mine().select_related("host")}
    for vm in vms.values():
        assert vm.host is not None
        sync.refresh_vms(vm.host)
        vm.refresh_from_db()
    return {name: (vm.observed_state, vm.autostart) for name, vm in vms.items()}


def last_jobs() -> list[tuple[str, str]]:
    return list(Job.objects.order_by("pk").values_list("operation", "state"))


def test_through_every_step(leased: Request, lab_user: User) -> None:
    """Ended, archived, told, deleted; every step once, each with its whole time before the next."""
    assert states() == {"web-01": ("running", True), "web-02": ("off", False)}
    assert look(leased).state == S.EXPIRED
    assert states() == {"web-01": ("off", False), "web-02": ("off", False)}
    assert last_jobs() == [("selfservice.end", "succeeded"), *[("vms.switch-off", "succeeded")] * 2]
    assert leased.autostarts == [str(Vm.objects.get(name="web-01").uuid)]
    assert usage_of(lab_user).vms == 2
    assert look(leased, 6 * DAY).state == S.EXPIRED
    Vm.objects.update(address="10.1.1.1", addresses=["10.1.1.1"])
    assert look(leased, 7.01 * DAY).state == S.ARCHIVED
    assert set(mine().values_list("address", flat=True)) == {""}
    assert usage_of(lab_user)[:4] == (0, 0, 0, 0)
    assert look(leased, 28 * DAY).state == S.ARCHIVED
    assert look(leased, 29.5 * DAY).warned_days == 1
    assert mine().count() == 2
    assert look(leased, 31 * DAY).state == S.DELETED
    assert (mine().count(), usage_of(lab_user)[:5], leased.next_at) == (0, (0, 0, 0, 0, 0), None)
    assert look(leased, 400 * DAY).state == S.DELETED
    titles = [one.title.split(" on ")[0] for one in Notice.objects.filter(user=lab_user, kind="lease").order_by("pk")]
    assert titles == [
        "web-## has ended: its VMs are off",
        "web-## is archived",
        "web-## is deleted",
        "web-## is deleted",
    ]


def test_and_back(leased: Request, lab_user: User) -> None:
    """Extended when it was archived: startable, off, and started with its host again as before."""
    look(leased)
    look(leased, 8 * DAY)
    assert leased.state == S.ARCHIVED
    leases.extend(leased, lab_user, now=timezone.now())
    assert run_all(leased).state == S.READY
    assert states() == {"web-01": ("off", True), "web-02": ("off", False)}
    assert (leased.autostarts, usage_of(lab_user).vms) == ([], 2)


def test_a_guest_that_does_not_obey(leased: Request) -> None:
    """It is forced off. A paused one hears nothing and is not waited for."""
    vm = Vm.objects.select_related("host").get(name="web-01")
    assert vm.host is not None
    with connect(vm.host.target) as conn:
        guests.suspend(conn, str(vm.uuid))
    assert look(leased).state == S.EXPIRED
    assert Job.objects.get(operation="vms.switch-off", target_key=str(vm.uuid)).result == {"forced": True}


def test_run_twice(leased: Request) -> None:
    """A worker that died half way, and a job that comes too late."""
    deadline = {"deadline": stamp(leased)}
    leases.look(timezone.now())
    job = Job.objects.get()
    work.run(job.pk)
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED, worker="")
    assert run_all(leased).state == S.EXPIRED
    assert Job.objects.filter(operation="vms.switch-off").count() == 2
    late = enqueue(EndLease(leased, deadline), user=None)
    run_all(leased)
    late.refresh_from_db()
    assert (late.state, late.result, leased.state) == (State.SUCCEEDED, {"skipped": True}, S.EXPIRED)
    assert leased.events.filter(step=Step.ENDED).count() == 1


def test_extended_before_the_job_ran(leased: Request, lab_user: User) -> None:
    """The job sees that another end was meant."""
    enqueue(EndLease(leased, {"deadline": stamp(leased)}), user=None)
    leases.extend(leased, lab_user, now=timezone.now())
    assert run_all(leased).state == S.READY
    assert states()["web-01"] == ("running", True)


def test_a_host_that_does_not_answer(leased: Request, host: Any) -> None:
    """It is waited for without a job; nothing is said to have ended that has not."""
    Vm.objects.filter(name="web-02").update(host=None)
    assert look(leased).state == S.EXPIRING
    assert look(leased, timedelta(minutes=30)).state == S.EXPIRING
    assert not Job.objects.exists()
    Vm.objects.filter(name="web-02").update(host=host)
    assert look(leased, timedelta(hours=2)).state == S.EXPIRED


def test_a_step_that_fails_half_way(leased: Request, host: Any) -> None:
    """It is tried again, and what started with its host is not forgotten."""
    leases.look(timezone.now())
    Vm.objects.filter(name="web-02").update(host=None)
    assert run_all(leased).state == S.EXPIRING
    assert Job.objects.get(operation="selfservice.end").state == State.FAILED
    sync.refresh_vms(host)
    Vm.objects.filter(name="web-02").update(host=host)
    assert not Vm.objects.get(name="web-01").autostart
    assert look(leased, timedelta(hours=2)).state == S.EXPIRED
    assert leased.autostarts == [str(Vm.objects.get(name="web-01").uuid)]


def test_given_back(leased: Request, lab_user: User) -> None:
    """Running VMs too, at once, for good."""
    leases.give_back(leased, lab_user, now=timezone.now())
    assert run_all(leased).state == S.DELETED
    assert last_jobs()[0] == ("selfservice.delete", "succeeded")
    assert (mine().count(), usage_of(lab_user).vms) == (0, 0)
    assert Notice.objects.get(kind="lease").title == "web-## is deleted"


def test_a_delete_needs_its_reason(leased: Request) -> None:
    """Nothing deletes what is neither archived nor given back."""
    enqueue(DeleteLease(leased, {"deadline": stamp(leased)}), user=None)
    assert run_all(leased).state == S.EXPIRING
    assert mine().count() == 2


# --- what nobody uses ------------------------------------------------------------------------------------------------


def history(**figures: list[float | None]) -> Callable[..., dict[str, list[float | None]]]:
    return lambda *args, **more: {"cpu": [], "net_tx": [], **figures}


def test_unused_is_suggested_once(leased: Request, lab_user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    Vm.objects.update(created_at=now - 40 * DAY, state_since=now - 40 * DAY)
    monkeypatch.setattr(unused.metrics, "history", history(cpu=[1.0, None, 2.0], net_tx=[40.0, 3.0]))
    assert [unused.look(now - 2 * DAY), unused.look(now), unused.look(now)] == [0, 1, 0]
    leased.refresh_from_db()
    assert (leased.unused_at, leased.state) == (now, S.EXPIRING)
    assert Notice.objects.filter(kind="lease", title="Is web-## still needed?").count() == 1
    leases.keep(leased, lab_user, now=now)
    assert unused.look(now + 13 * DAY) == 0
    assert unused.look(now + 15 * DAY) == 1, "and again when it was not used for as long"


@pytest.mark.parametrize(
    "figures", [{"cpu": [1.0, 30.0]}, {"cpu": [1.0], "net_tx": [None, 90_000.0]}, {}, {"cpu": [None]}, "console", "new"]
)
def test_used(leased: Request, lab_user: User, figures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It computes, it sends, somebody looked at it; and what is not known is not said."""
    now = timezone.now()
    Vm.objects.update(created_at=now - 40 * DAY, state_since=now - 40 * DAY)
    Vm.objects.filter(name="web-02").update(observed_state=VmState.OFF)
    idle = history(cpu=[1.0], net_tx=[40.0])
    monkeypatch.setattr(unused.metrics, "history", idle if isinstance(figures, str) else history(**figures))
    if figures == "console":
        about = {"session_digest": "x", "ticket_digest": "y", "kind": "vnc", "expires_at": now}
        ConsoleSession.objects.create(vm=Vm.objects.get(name="web-02"), user=lab_user, used_at=now - 3 * DAY, **about)
    if figures == "new":
        Vm.objects.filter(name="web-01").update(created_at=now)
    assert unused.look(now) == 0
    leased.refresh_from_db()
    assert leased.unused_at is None


@pytest.mark.parametrize(("cpu", "is_used"), [(1.0, False), (40.0, True)])
def test_by_the_figures_that_are_kept(
    leased: Request, settings: Any, tmp_path: Path, cpu: float, is_used: bool
) -> None:
    """As watch records them; with days of a minute."""
    settings.METRICS_DIR, settings.LEASE_DAY_S = tmp_path, 60
    now, vm = timezone.now(), Vm.objects.get(name="web-01")
    Vm.objects.filter(pk=vm.pk).update(created_at=now - DAY)
    vm.refresh_from_db()
    seconds = int(now.timestamp()) // 10 * 10
    samples = {seconds - 10 * ago: {"cpu": cpu if ago == 20 else 1.0, "net_tx": 12.0} for ago in range(60)}
    metrics.record("vm", str(vm.uuid), samples)
    assert unused.is_used(vm, now, terms.days(14)) is is_used
