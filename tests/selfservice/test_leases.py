"""Leases by the clock and by people, without a host: what is due when, and every way back."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from access.models import Role, User
from audit.models import Entry
from cluster.attention import requests_wait
from hosts.models import Host
from jobs import work
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from jobs.states import State
from notices.models import Notice
from selfservice import deciding, leases, quotas, terms
from selfservice.models import Request
from selfservice.states import RequestState, Step
from selfservice.terms import Due
from selfservice.usage import usage_of
from tests.factories import GIB, make_user, make_vm
from tests.selfservice.kit import make_leased, make_offer
from tests.selfservice.test_quotas import at_once
from vms.models import Vm
from vms.operations.power import AutostartVm, StartVm
from vms.states import VmState

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 2, 9, tzinfo=timezone.get_default_timezone())
DAY = timedelta(days=1)
S = RequestState


@pytest.fixture
def offer(admin: User) -> Any:
    """14 days, 60 at most."""
    return make_offer(admin)


@pytest.fixture
def leased(lab_user: User, offer: Any) -> Request:
    return make_leased(lab_user, offer, make_vm(Host.objects.get(), "web", observed_state=VmState.OFF), now=NOW)


def put(request: Request, state: RequestState, **columns: Any) -> Request:
    """As the steps leave it."""
    ends = {"stage_until": NOW + 7 * DAY} if state in {S.EXPIRED, S.ARCHIVED} else {}
    row = Request(pk=request.pk, state=state, until=request.until, leased_at=request.leased_at, **{**ends, **columns})
    Request.objects.filter(pk=request.pk).update(state=state, next_at=terms.next_at(row), **{**ends, **columns})
    request.refresh_from_db()
    return request


def told(user: User) -> list[str]:
    return list(Notice.objects.filter(user=user, kind="lease").order_by("pk").values_list("title", flat=True))


def look(request: Request, at: datetime) -> str:
    leases.look(at)
    request.refresh_from_db()
    return request.state


def jobs() -> list[str]:
    return list(
        Job.objects.filter(operation__startswith="selfservice.").order_by("pk").values_list("operation", flat=True)
    )


def test_it_works(leased: Request, lab_user: User) -> None:
    """Warned 7 days and a day before, each once; at the end a job is asked for, once."""
    assert (leased.until, leased.next_at) == (NOW + 14 * DAY, NOW + 7 * DAY)
    assert look(leased, NOW + 7 * DAY - timedelta(seconds=1)) == S.READY
    assert look(leased, NOW + 7 * DAY) == S.EXPIRING
    assert leased.events.last().why == "It ends on 16 November 2026, 09:00."  # type: ignore[union-attr]
    leases.look(NOW + 8 * DAY)
    assert len(told(lab_user)) == 1
    leases.look(NOW + 13 * DAY)
    leases.look(NOW + 13 * DAY)
    assert told(lab_user) == ["web ends on 16 November 2026, 09:00"] * 2
    assert leased.events.filter(step=Step.WARNED).count() == 2
    assert look(leased, NOW + 14 * DAY - timedelta(seconds=1)) == S.EXPIRING
    assert jobs() == []
    look(leased, NOW + 14 * DAY)
    look(leased, NOW + 14 * DAY + timedelta(minutes=5))
    assert jobs() == ["selfservice.end"]
    assert leased.until == NOW + 14 * DAY, "nobody was late"
    assert leased.state == S.EXPIRING, "until its VMs are off"
    look(leased, NOW + 14 * DAY + timedelta(hours=2))
    assert jobs() == ["selfservice.end"], "it is still at work"
    Job.objects.update(state=State.FAILED)
    look(leased, NOW + 14 * DAY + timedelta(hours=4))
    assert jobs() == ["selfservice.end"] * 2, "what failed is tried again"


@pytest.mark.parametrize("state", [S.READY, S.EXPIRING])
def test_a_week_off(leased: Request, lab_user: User, state: RequestState) -> None:
    """It ended while the manager was off: told now, and not ended before a day has passed; each step waits its time."""
    if state == S.EXPIRING:
        look(leased, NOW + 7 * DAY)
    back = NOW + 18 * DAY
    assert look(leased, back) == S.EXPIRING
    assert jobs() == []
    assert told(lab_user)[-1] == "web ends on 21 November 2026, 09:00"
    assert (leased.until, leased.next_at) == (back + DAY, back + DAY)
    leases.look(back + DAY)
    assert jobs() == ["selfservice.end"]


def test_off_when_it_had_been_told(leased: Request) -> None:
    """All warnings were told in time: it ends as soon as the manager is back."""
    for day in (7, 13, 21):
        look(leased, NOW + day * DAY)
    assert jobs() == ["selfservice.end"]


def test_one_that_breaks_does_not_hold_up_others(leased: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours in one row: the others have their turn at the next look, and it is tried again later."""
    other = make_leased(leased.asker, leased.version.offer, make_vm(None, "db", observed_state=VmState.OFF), now=NOW)
    warn = leases.warn

    def broken(row: Request, now: datetime) -> None:
        if row.pk == leased.pk:
            raise ValueError("a mistake of ours")
        warn(row, now)

    monkeypatch.setattr(leases, "warn", broken)
    with pytest.raises(ValueError, match="a mistake of ours"):
        leases.look(NOW + 7 * DAY)
    assert look(other, NOW + 7 * DAY + timedelta(minutes=5)) == S.EXPIRING
    monkeypatch.undo()
    assert look(leased, NOW + 7 * DAY + timedelta(hours=1)) == S.EXPIRING


def test_archived_is_told_before_it_is_deleted(leased: Request, lab_user: User) -> None:
    put(leased, S.EXPIRED)
    leases.look(NOW + 7 * DAY)
    assert jobs() == ["selfservice.archive"]
    Job.objects.all().delete()
    put(leased, S.ARCHIVED, stage_until=NOW + 30 * DAY, job=None)
    assert leased.next_at == NOW + 29 * DAY
    look(leased, NOW + 40 * DAY)
    assert (jobs(), leased.stage_until) == ([], NOW + 41 * DAY), "the manager was off: a day is left all the same"
    assert told(lab_user) == ["web is deleted on 13 December 2026, 09:00"]
    leases.look(NOW + 41 * DAY)
    assert jobs() == ["selfservice.delete"]


@pytest.mark.parametrize(("lease_days", "distances"), [(14, [7, 1]), (8, [7, 1]), (7, [1]), (2, [1]), (1, [0.5])])
def test_short_leases_are_told_later(lease_days: int, distances: list[float]) -> None:
    row = Request(state=S.READY, leased_at=NOW, until=NOW + lease_days * DAY)
    assert terms.distances(row) == distances
    assert terms.next_step(row) == (Due.WARN, NOW + lease_days * DAY - distances[0] * DAY)


def test_without_an_end(admin: User, lab_user: User) -> None:
    forever = make_offer(admin, "For ever", lease_days=None, most_lease_days=None)
    request = make_leased(lab_user, forever, make_vm(None, "db", observed_state=VmState.OFF), now=NOW)
    assert (request.until, request.next_at, leases.look(NOW + 4000 * DAY)) == (None, None, 0)
    with pytest.raises(Refused, match="It has no end"):
        leases.extend(request, lab_user, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_two_clocks_at_once(leased: Request) -> None:
    look(leased, NOW + 7 * DAY)
    look(leased, NOW + 13 * DAY)
    at_once(*[lambda: leases.look(NOW + 14 * DAY)] * 4)
    assert jobs() == ["selfservice.end"]
    assert leased.events.filter(step=Step.WARNED).count() == 2


# --- more time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.READY, S.EXPIRING, S.EXPIRED, S.ARCHIVED])
def test_extended_from_each_state(leased: Request, lab_user: User, state: RequestState) -> None:
    """One click: ready again, another lease, all warnings to come, startable, autostart as it was."""
    vm = Vm.objects.get()
    put(leased, state, autostarts=[str(vm.uuid)], warned_days=1.0)
    if state in {S.EXPIRED, S.ARCHIVED}:
        for operation in (StartVm(vm), AutostartVm(vm, {"enabled": True})):
            with pytest.raises(Refused, match="Its lease has ended: extend it first."):
                enqueue(operation, user=None)
    now = NOW + 20 * DAY
    leases.extend(leased, lab_user, now=now)
    leased.refresh_from_db()
    assert (leased.state, leased.until) == (S.READY, NOW + 34 * DAY)
    assert (leased.next_at, leased.stage_until, leased.warned_days) == (NOW + 27 * DAY, None, None)
    assert leased.events.last().step == Step.EXTENDED  # type: ignore[union-attr]
    assert Job.objects.get(operation="vms.autostart").params == {"enabled": True}
    enqueue(StartVm(vm), user=None)
    leases.look(now)
    assert jobs() == []


def test_a_start_that_waited_until_the_lease_was_over(leased: Request) -> None:
    job = enqueue(StartVm(Vm.objects.get()), user=None)
    put(leased, S.EXPIRED)
    work.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (State.FAILED, "Its lease has ended: extend it first.")


def test_up_to_the_most_by_itself_beyond_by_approval(leased: Request, lab_user: User, admin: User) -> None:
    petra = make_user("petra", Role.APPROVER)
    for days in (28, 42, 56, 60):
        leases.extend(leased, lab_user, now=NOW)
        leased.refresh_from_db()
        assert leased.until == NOW + days * DAY
    with pytest.raises(Refused, match="the longest time that this offer gives"):
        leases.extend(leased, lab_user, now=NOW)
    with pytest.raises(Refused, match="Say why"):
        leases.ask_longer(leased, lab_user, 30, " ", now=NOW)
    leases.ask_longer(leased, lab_user, 30, "my thesis", now=NOW)
    with pytest.raises(Refused, match="asked for already"):
        leases.ask_longer(leased, lab_user, 31, "my thesis", now=NOW)
    assert [list(leases.undecided(user)) for user in (petra, admin, lab_user)] == [[leased], [leased], []]
    asked = Notice.objects.filter(kind="inbox", title="lena asks for 30 days more for web")
    assert {one.user for one in asked.filter(read_at=None)} == {petra, admin}
    with pytest.raises(PermissionDenied):
        leases.grant(leased, lab_user, 30, now=NOW)
    with pytest.raises(Refused, match="Say why"):
        leases.refuse(leased, petra, "")
    leases.grant(leased, petra, 20, "20 must do", now=NOW)
    leased.refresh_from_db()
    assert (leased.until, leased.most_until, leased.longer_at) == (NOW + 80 * DAY, NOW + 80 * DAY, None)
    assert leased.events.last().why == "Until 21 January 2027, 09:00. 20 must do"  # type: ignore[union-attr]
    assert told(lab_user) == ["web now ends on 21 January 2027, 09:00"]
    assert not asked.filter(read_at=None).exists()
    with pytest.raises(Refused, match="Nobody asks for more time"):
        leases.refuse(leased, petra, "no")


def test_a_wish_that_nobody_answers(leased: Request, lab_user: User, admin: User) -> None:
    """Said once to those who decide, and in front of the others; another wish is a new one."""
    petra, late = make_user("petra", Role.APPROVER), timezone.now() - 3 * DAY
    leases.ask_longer(leased, lab_user, 30, "my thesis", now=late)
    assert [item.tone for item in requests_wait(petra)] == ["info"]
    assert [deciding.escalate(), deciding.escalate()] == [1, 0]
    (item,) = requests_wait(petra)
    assert (item.tone, item.why) == ("warn", "nobody has answered lena in time")
    (notice,) = Notice.objects.filter(user=petra, title="lena still waits for an answer")
    assert notice.lines[1:] == ["They want 30 days more.", "Nobody has answered for 24 hours."]
    leases.refuse(leased, petra, "no")
    assert not Notice.objects.filter(kind="inbox").unread().exists()
    assert list(requests_wait(petra)) == []
    leases.ask_longer(leased, lab_user, 20, "all the same", now=late + timedelta(hours=1))
    assert deciding.escalate() == 1
    assert Notice.objects.unread().filter(user=petra, title="lena still waits for an answer").count() == 1


def test_a_wish_holds_up_the_delete_only(leased: Request, lab_user: User, admin: User) -> None:
    put(leased, S.ARCHIVED, warned_days=1.0, stage_until=NOW)
    leases.ask_longer(leased, lab_user, 30, "my thesis", now=NOW)
    assert leases.look(NOW + 9 * DAY) == 0
    leases.refuse(leased, admin, "no")
    look(leased, NOW + 9 * DAY)
    assert (jobs(), leased.stage_until) == ([], NOW + 10 * DAY), "told once more, with a day to do something"
    assert told(lab_user) == ["web gets no more time", "web is deleted on 12 November 2026, 09:00"]


def test_quotas_at_each_state(lab_user: User, offer: Any, admin: User) -> None:
    """Archived, only the disks count; the rest is taken again in the transaction that extends it, if there is room."""
    vm = make_vm(None, "web", observed_state=VmState.OFF, vcpus=2)
    leased = make_leased(lab_user, offer, vm, now=NOW)
    full = (1, 0, 2, GIB, 10 * GIB)
    for state in (S.READY, S.EXPIRING, S.EXPIRED):
        put(leased, state)
        assert usage_of(lab_user)[:5] == full
    put(leased, S.ARCHIVED)
    assert usage_of(lab_user)[:5] == (0, 0, 0, 0, 10 * GIB)
    make_vm(None, "other", owner=lab_user, vcpus=3, observed_state=VmState.OFF)
    quotas.set_limits(lab_user, {"vcpus": 4})
    with pytest.raises(Refused, match=r"Over your quota. vCPUs: 3 of 4 in use, 2 more asked for."):
        leases.extend(leased, lab_user, now=NOW)
    with pytest.raises(Refused, match="Over the quota of lena"):
        leases.extend(leased, admin, now=NOW)
    leased.refresh_from_db()
    assert leased.state == S.ARCHIVED
    quotas.set_limits(lab_user, {"vcpus": 5})
    leases.extend(leased, lab_user, now=NOW)
    assert usage_of(lab_user)[:4] == (2, 0, 5, 2 * GIB)


# --- pinned, given back, who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.READY, S.EXPIRING, S.EXPIRED, S.ARCHIVED])
def test_pinned_stops_the_clock(leased: Request, lab_user: User, admin: User, state: RequestState) -> None:
    """Unpinned, its stage lasts at least as long as it is announced before."""
    put(leased, state)
    leases.pin(leased, admin, "evidence", now=NOW)
    assert leases.look(NOW + 400 * DAY) == 0
    with pytest.raises(Refused, match="pinned already"):
        leases.pin(leased, admin, now=NOW)
    with pytest.raises(Refused, match="An administrator has pinned it"):
        leases.give_back(leased, lab_user, now=NOW)
    back = NOW + 400 * DAY
    leases.unpin(leased, admin, now=back)
    leases.look(back)
    leased.refresh_from_db()
    assert jobs() == []
    stage = {S.EXPIRED: 7, S.ARCHIVED: 30}.get(state, 7)
    assert terms.deadline(leased) == back + stage * DAY
    assert leased.state == (S.EXPIRING if state == S.READY else state)
    assert (
        Entry.objects.filter(action__in=("selfservice.pinned", "selfservice.unpinned"), who=admin.username).count() == 2
    )


def test_who_may(leased: Request, lab_user: User, admin: User) -> None:
    max_, petra = make_user("max"), make_user("petra", Role.APPROVER)
    operator, auditor = make_user("otto", Role.OPERATOR), make_user("audrey", Role.AUDITOR)
    everyone = (lab_user, max_, petra, operator, auditor, admin)
    assert [leases.may_extend(user, leased) for user in everyone] == [True, False, True, False, False, True]
    assert [leases.may_return(user, leased) for user in everyone] == [True, False, False, True, False, True]
    assert [leases.may_pin(user) for user in everyone] == [False] * 5 + [True]
    for user in (max_, auditor):
        with pytest.raises(PermissionDenied):
            leases.extend(leased, user, now=NOW)
        with pytest.raises(PermissionDenied):
            leases.give_back(leased, user, now=NOW)
    with pytest.raises(PermissionDenied):
        leases.pin(leased, petra, now=NOW)
    with pytest.raises(PermissionDenied):
        leases.ask_longer(leased, operator, 3, "please", now=NOW)


def test_not_while_a_step_is_at_work(leased: Request, lab_user: User, admin: User) -> None:
    for day in (7, 13, 14):
        look(leased, NOW + day * DAY)
    for act in (leases.extend, leases.give_back):
        with pytest.raises(Refused, match="Drover is at work on its VMs"):
            act(leased, lab_user, now=NOW)
    with pytest.raises(Refused, match="Drover is at work on its VMs"):
        leases.pin(leased, admin, now=NOW)
    Job.objects.update(state=State.FAILED)
    leases.extend(leased, lab_user, now=NOW)


def test_only_what_is_there_has_a_lease(lab_user: User, leased: Request) -> None:
    put(leased, S.DELETED)
    with pytest.raises(Refused, match="the request is deleted"):
        leases.extend(leased, lab_user, now=NOW)
