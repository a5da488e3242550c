"""Requests: asking, deciding, and that what is reserved is always what is promised."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from access.models import Role, User
from access.rules import visible
from audit.models import Entry
from cluster.attention import requests_wait
from cluster.consumers import may_watch
from jobs.errors import Refused
from jobs.models import Job
from selfservice import asking, deciding, offers, quotas
from selfservice.models import Request, RequestEvent, Reservation
from selfservice.states import TRANSITIONS, RequestState, Step
from selfservice.steps import change
from selfservice.usage import usage_of
from tests.factories import GIB, give, make_group, make_user
from tests.selfservice.kit import WISH, ask, change_offer, make_offer
from tests.selfservice.test_quotas import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def approver(db: None) -> User:
    return make_user("petra", Role.APPROVER)


def steps_of(request: Request) -> list[str]:
    return list(request.events.values_list("step", flat=True))


def test_it_works(admin: User, lab_user: User, approver: User) -> None:
    request = ask(lab_user, make_offer(admin), pattern="web-##", count=2)
    assert (request.state, request.lease_days) == (RequestState.PENDING, 14)
    assert usage_of(lab_user)[:3] == (2, 2, 2)
    deciding.approve(request, approver, why="have fun")
    request.refresh_from_db()
    assert (request.state, request.decided_by) == (RequestState.APPROVED, approver)
    assert request.job is not None
    assert request.job.title == f"Build web-## for lena (request {request.pk})"
    assert request.job.user is None
    approved = request.events.get(step=Step.APPROVED)
    assert (approved.before, approved.after, approved.by, approved.why) == ("pending", "approved", approver, "have fun")
    entry = Entry.objects.get(action="selfservice.approved")
    assert (entry.who, entry.kind, entry.reason) == ("petra", "request", "have fun")


def test_small_ones_need_nobody(admin: User, lab_user: User) -> None:
    offer = make_offer(admin, approval="limits", free_vms=2, free_vcpus=2, free_memory_bytes=2 * GIB)
    free = ask(lab_user, offer, count=2)
    free.refresh_from_db()
    assert (free.state, free.decided_by) == (RequestState.APPROVED, None)
    assert "by itself" in free.events.get(step=Step.APPROVED).why
    for more in ({"vcpus": 3}, {"count": 3}, {"memory_bytes": 3 * GIB}):
        assert ask(lab_user, offer, **more).state == RequestState.PENDING


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"count": 6}, "count"),
        ({"count": 0}, "count"),
        ({"vcpus": 5}, "vcpus"),
        ({"memory_bytes": 1}, "memory_bytes"),
        ({"disk_bytes": 21 * GIB}, "disk_bytes"),
        ({"pattern": "-"}, "pattern"),
        ({"pattern": "a#b#"}, "pattern"),
        ({"pattern": ""}, "pattern"),
        ({"values": {"more": "x"}}, "values"),
    ],
)
def test_what_the_offer_does_not_allow(admin: User, lab_user: User, more: dict[str, Any], field: str) -> None:
    offer = make_offer(admin)
    with pytest.raises(Refused) as refused:
        ask(lab_user, offer, **more)
    assert refused.value.field == field
    assert not Request.objects.exists()
    assert not Reservation.objects.exists()


def test_over_the_quota_nothing_is_taken(admin: User, lab_user: User) -> None:
    offer = make_offer(admin)
    quotas.set_limits(lab_user, {"vms": 2})
    ask(lab_user, offer, count=2)
    with pytest.raises(Refused, match="VMs: 2 of 2 in use, 1 more asked for") as refused:
        ask(lab_user, offer)
    assert refused.value.field == "count"
    assert Request.objects.count() == 1


def test_every_way_out_releases(admin: User, lab_user: User, approver: User) -> None:
    offer = make_offer(admin)
    deciding.reject(ask(lab_user, offer), approver, "no room this week")
    deciding.withdraw(ask(lab_user, offer), lab_user)
    failed = ask(lab_user, offer)
    deciding.approve(failed, approver)
    change(failed, RequestState.FAILED, Step.FAILED, by=None)
    assert usage_of(lab_user).vms == 1, "it can be tried again"
    deciding.give_up(failed, lab_user)
    assert usage_of(lab_user).vms == 0
    assert set(Request.objects.values_list("state", flat=True)) == {"rejected", "withdrawn"}
    assert set(Reservation.objects.values_list("why", flat=True)) == {"rejected", "withdrawn", "given up"}


def test_approved_with_changes_is_reserved_anew(admin: User, lab_user: User, approver: User) -> None:
    request = ask(lab_user, make_offer(admin), count=4, pattern="web-#", vcpus=2)
    quotas.set_limits(lab_user, {"vms": 4, "vcpus": 8})
    with pytest.raises(Refused, match="Over the quota of lena") as refused:
        deciding.approve(request, approver, changes={"vcpus": 3})
    assert refused.value.field == "vcpus"
    assert usage_of(lab_user)[:3] == (4, 4, 8), "nothing was released"
    deciding.approve(request, approver, changes={"count": 2, "memory_bytes": 2 * GIB, "lease_days": 7}, why="Less.")
    request.refresh_from_db()
    assert usage_of(lab_user)[:4] == (2, 2, 4, 4 * GIB)
    assert (request.count, request.memory_bytes, request.lease_days) == (2, 2 * GIB, 7)
    why = request.events.get(step=Step.APPROVED).why.replace("\N{NO-BREAK SPACE}", " ")
    assert why == "Less. Changed: VMs 2, memory 2 GiB, days 7."
    assert Reservation.objects.filter(released_at=None, request=request).count() == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"count": 9}, "count"), ({"lease_days": 61}, "lease_days"), ({"lease_days": None}, "lease_days")],
)
def test_changes_keep_to_the_offer(admin: User, lab_user: User, changes: dict[str, Any], field: str) -> None:
    request = ask(lab_user, make_offer(admin))
    with pytest.raises(Refused) as refused:
        deciding.approve(request, admin, changes=changes)
    assert refused.value.field == field
    request.refresh_from_db()
    assert (request.state, request.count, request.lease_days) == (RequestState.PENDING, 1, 14)


def test_nobody_decides_about_their_own(admin: User, lab_user: User, approver: User, operator: User) -> None:
    offer = make_offer(admin)
    mine = ask(approver, offer)
    for decide in (lambda: deciding.approve(mine, approver), lambda: deciding.reject(mine, approver, "no")):
        with pytest.raises(Refused, match="somebody else decides"):
            decide()
    for person in (lab_user, operator):
        with pytest.raises(PermissionDenied):
            deciding.approve(mine, person)
    deciding.approve(mine, admin)
    deciding.approve(ask(admin, offer), admin)
    with pytest.raises(Refused, match="Say why"):
        deciding.reject(ask(lab_user, offer), approver, "  ")
    with pytest.raises(PermissionDenied):
        deciding.withdraw(ask(lab_user, offer), approver)


def test_decided_once(admin: User, lab_user: User, approver: User) -> None:
    request = ask(lab_user, make_offer(admin))
    deciding.approve(request, approver)
    for again in (
        lambda: deciding.approve(request, admin),
        lambda: deciding.reject(request, admin, "late"),
        lambda: deciding.withdraw(request, lab_user),
        lambda: deciding.retry(request, lab_user),
        lambda: deciding.give_up(request, lab_user),
    ):
        with pytest.raises(Refused, match="Not possible: the request is approved"):
            again()
    assert Job.objects.count() == 1
    assert steps_of(request) == ["asked", "approved"]


def test_every_state_has_its_ways() -> None:
    ends = {RequestState.REJECTED, RequestState.WITHDRAWN, RequestState.DELETED}
    assert set(RequestState) == set(TRANSITIONS) | ends
    reached = {state for after in TRANSITIONS.values() for state in after}
    assert reached == set(RequestState) - {RequestState.PENDING}


def test_an_approver_of_one_group(admin: User, lab_user: User) -> None:
    """Given for a group's VMs, the role decides the requests of that group and no others; its manager reads them."""
    teacher, manager = make_user("tom"), make_user("mia")
    group = make_group("Networks", lab_user, manager=manager)
    give(teacher, Role.APPROVER, group)
    offer = make_offer(admin)
    theirs, other = ask(lab_user, offer, group=group), ask(lab_user, offer)
    for person in (teacher, manager):
        assert list(visible(person, Request.objects.all())) == [theirs]
    with pytest.raises(PermissionDenied):
        deciding.approve(theirs, manager)
    with pytest.raises(PermissionDenied):
        deciding.approve(other, teacher)
    deciding.approve(theirs, teacher)
    with pytest.raises(Refused) as refused:
        ask(lab_user, offer, group=make_group("Physics"))
    assert refused.value.field == "group"


def test_unanswered_ones_are_marked_once(admin: User, lab_user: User, approver: User, settings: Any) -> None:
    settings.ESCALATE_HOURS = 2
    offer = make_offer(admin)
    old, new, decided = (ask(lab_user, offer) for _each in range(3))
    deciding.approve(decided, approver)
    Request.objects.exclude(pk=new.pk).update(asked_at=timezone.now() - timedelta(hours=3))
    assert [item.tone for item in requests_wait(approver)] == ["info"]
    assert deciding.escalate() == 1
    (item,) = requests_wait(approver)
    assert (item.tone, item.title) == ("warn", "2 requests wait to be decided")
    assert item.why == "nobody has answered lena in time"
    assert list(requests_wait(lab_user)) == []
    assert list(deciding.undecided(approver)) == [old, new], "what waits longest is first"
    assert deciding.escalate() == 0
    old.refresh_from_db()
    assert old.escalated_at is not None
    assert (old.state, steps_of(old)) == (RequestState.PENDING, ["asked", "escalated"])
    deciding.approve(old, approver)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wishes", [4, pytest.param(20, marks=pytest.mark.postgres, id="on-postgresql")])
def test_many_at_once_and_a_decision_at_the_same_time(wishes: int, admin: User, lab_user: User) -> None:
    """What is taken is within the quota; of two who decide at once, one does; nothing stays reserved for nothing."""
    offer, petra = make_offer(admin), make_user("petra", Role.APPROVER)
    quotas.set_limits(lab_user, {"vms": 6, "vcpus": 5})

    def wish() -> int:
        taken = 0
        for _each in range(wishes):
            try:
                ask(lab_user, offer)
            except Refused:
                continue
            taken += 1
        return taken

    assert sum(at_once(*[wish] * 6)) == Request.objects.count() == 5  # type: ignore[arg-type]
    one, two = Request.objects.order_by("pk")[:2]
    results = at_once(
        lambda: deciding.approve(one, petra),
        lambda: deciding.approve(one, admin),
        lambda: deciding.reject(one, admin, "no"),
        lambda: deciding.withdraw(two, lab_user),
        lambda: deciding.reject(two, petra, "no"),
    )
    assert sorted(isinstance(result, Request) for result in results) == [False] * 3 + [True] * 2
    one.refresh_from_db()
    two.refresh_from_db()
    still = 3 + (one.state == RequestState.APPROVED)
    assert two.state in {RequestState.WITHDRAWN, RequestState.REJECTED}
    assert usage_of(lab_user).vms == Reservation.objects.filter(released_at=None).count() == still
    assert Job.objects.filter(operation="selfservice.build").count() == (one.state == RequestState.APPROVED)


@pytest.mark.django_db(transaction=True)
def test_no_more_pile_up_at_once_than_one_by_one(admin: User, lab_user: User, settings: Any) -> None:
    settings.MOST_OPEN_REQUESTS = 3
    offer = make_offer(admin)
    results = at_once(*[lambda: ask(lab_user, offer)] * 8)
    assert sorted(isinstance(result, Request) for result in results) == [False] * 5 + [True] * 3
    assert Request.objects.count() == 3


def test_changing_an_offer_changes_no_request(admin: User, lab_user: User) -> None:
    offer = make_offer(admin)
    request, first = ask(lab_user, offer), offer.latest()
    change_offer(admin, offer, summary="another line")
    assert offer.latest() == first, "only how it looks"
    change_offer(admin, offer, most_vcpus=8)
    assert offer.latest().number == 2
    assert offers.changes(offer.latest(), first) == ["most_vcpus"]
    request.refresh_from_db()
    assert request.version == first
    with pytest.raises(Refused, match="changed meanwhile"):
        asking.ask(lab_user, first, WISH)
    offers.set_archived(admin, offer, is_archived=True)
    with pytest.raises(Refused, match="changed meanwhile"):
        ask(lab_user, offer)


def test_who_may_ask(admin: User, lab_user: User) -> None:
    anna, auditor = make_user("anna"), make_user("alan", Role.AUDITOR)
    group = make_group("Networks", anna)
    make_offer(admin, "for all")
    make_offer(admin, "for a group", is_for_everybody=False, groups=[group])
    make_offer(admin, "for lena", is_for_everybody=False, people=[lab_user])
    archived = make_offer(admin, "old")
    offers.set_archived(admin, archived, is_archived=True)

    def of(user: User) -> list[str]:
        return [offer.name for offer, _version in offers.with_latest(offers.offered(user))]

    assert of(lab_user) == ["for all", "for lena"]
    assert of(anna) == ["for a group", "for all"]
    assert of(auditor) == []
    assert of(admin) == ["for a group", "for all", "for lena"]
    assert RequestEvent.objects.count() == 0


def test_who_hears_of_a_request(admin: User, lab_user: User, approver: User) -> None:
    request = ask(lab_user, make_offer(admin))
    topics = {f"request.{request.pk}", "requests", "offers"}
    for person in (lab_user, approver, admin):
        assert may_watch(person, topics) == topics
    assert may_watch(make_user("max"), topics) == {"requests", "offers"}, "that something changed, not what"
    assert may_watch(make_user("mia"), {"request.0", f"request.{10**17}"}) == set()
