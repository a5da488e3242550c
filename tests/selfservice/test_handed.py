"""A lease goes where its VMs go, and nobody keeps a say over what is somebody else's by now."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.utils import timezone

from access import people
from access.models import User
from access.rules import visible
from jobs.errors import Refused
from jobs.models import Job
from notices.models import Notice
from selfservice import deciding, lease_notices, leases
from selfservice.models import LabClass, Request, Seat
from selfservice.states import RequestState, Step
from selfservice.steps import change, vms_of
from tests.api.kit import call
from tests.factories import make_group, make_user, make_vm
from tests.selfservice.kit import ask, make_leased, make_offer
from vms.models import Vm
from vms.states import VmState

pytestmark = pytest.mark.django_db


@pytest.fixture
def offer(admin: User) -> Any:
    return make_offer(admin)


@pytest.fixture
def bert() -> User:
    return make_user("bert")


def give(vm: Vm, owner: User | None, **more: Any) -> None:
    """As the job "Edit" does."""
    vm.refresh_from_db()
    vm.owner = owner
    for name, value in more.items():
        setattr(vm, name, value)
    vm.save(update_fields=["title", "description", "owner", "group"])


def test_it_works(lab_user: User, bert: User, offer: Any) -> None:
    vm = make_vm(None, "web")
    request = make_leased(lab_user, offer, vm)
    until = request.until
    give(vm, bert)
    request.refresh_from_db()
    assert (request.asker, request.until, request.state) == (bert, until, RequestState.READY)
    assert Notice.objects.filter(user=bert, title="web is yours now").exists()
    assert not visible(lab_user, Request.objects.all()).exists()
    with pytest.raises(PermissionDenied):
        leases.give_back(request, lab_user, now=timezone.now())
    leases.extend(request, bert, now=timezone.now())
    give(vm, bert)
    assert request.events.filter(step=Step.HANDED).count() == 1, "what stays is no step"


def test_one_of_several_gets_a_lease_of_its_own(lab_user: User, bert: User, offer: Any) -> None:
    first, second = make_vm(None, "web-1"), make_vm(None, "web-2")
    request = make_leased(lab_user, offer, first, second)
    give(second, bert, group=make_group("Physics"))
    request.refresh_from_db()
    other = Request.objects.get(asker=bert)
    assert (request.asker, request.count, list(vms_of(request))) == (lab_user, 1, [first])
    assert (other.count, other.pattern, other.until, list(vms_of(other))) == (1, "web-2", request.until, [second])
    assert other.group == second.group
    leases.give_back(request, lab_user, now=timezone.now())
    other.refresh_from_db()
    assert other.returned_at is None


def test_what_is_nobodys_is_not_given_back_by_who_had_it(lab_user: User, offer: Any, admin: User) -> None:
    vm = make_vm(None, "web")
    request = make_leased(lab_user, offer, vm)
    give(vm, None)
    with pytest.raises(Refused, match="Not all of its VMs are yours"):
        leases.give_back(request, lab_user, now=timezone.now())
    leases.give_back(request, admin, now=timezone.now())


def test_it_leaves_its_class(lab_user: User, bert: User, offer: Any) -> None:
    """Who ends the class does not delete what is no longer of it."""
    vm, group = make_vm(None, "net-lena"), make_group("Networks", lab_user)
    request = make_leased(lab_user, offer, vm, group=group)
    lab_class = LabClass.objects.create(name="Net", group=group, version=offer.latest(), pattern="<user>")
    Seat.objects.create(lab_class=lab_class, user=lab_user, request=request)
    give(vm, bert, group=None)
    assert not lab_class.seats.exists()


def test_people_who_left(lab_user: User, admin: User, offer: Any) -> None:
    """They are not forgotten while their requests are, nothing more is built, and somebody hears of the end."""
    tina = make_user("tina")
    group = make_group("Networks", lab_user, manager=tina)
    request = make_leased(lab_user, offer, make_vm(None, "web"), group=group)
    pending = ask(lab_user, offer)
    with pytest.raises(people.Denied, match="hand it over"):
        people.delete(admin, lab_user)
    Vm.objects.update(owner=None)
    with pytest.raises(people.Denied, match="requests of theirs"):
        people.delete(admin, lab_user)
    people.set_active(admin, lab_user, is_active=False)
    request.refresh_from_db()
    lease_notices.warned(request)
    assert Notice.objects.get(kind="lease", title__startswith="web ends on").user == tina
    request.group = None
    lease_notices.ended(request)
    assert Notice.objects.get(kind="lease", title__startswith="web has ended").user == admin
    with pytest.raises(Refused, match="deactivated"):
        deciding.approve(pending, admin)


def test_the_vms_page_shows_it(lab_user: User, bert: User, admin: User, offer: Any, client: Client) -> None:
    vm = make_vm(None, "web", observed_state=VmState.OFF)
    request = make_leased(lab_user, offer, vm)
    url = f"/requests/of-vm/{vm.uuid}"
    for person, words in ((lab_user, ("Extend until", "Give back…")), (admin, ("Pin…", request.get_absolute_url()))):
        client.force_login(person)
        assert url in client.get(f"/vms/{vm.uuid}/").content.decode()
        text = client.get(url).content.decode()
        assert [word for word in words if word not in text] == []
    client.force_login(bert)
    assert client.get(url).status_code == 404
    Request.objects.update(state=RequestState.DELETED)
    client.force_login(lab_user)
    assert client.get(url).content == b""


def test_the_api_finds_it(lab_user: User, bert: User, admin: User, offer: Any) -> None:
    vm = make_vm(None, "web")
    request = make_leased(lab_user, offer, vm)
    waiting = ask(lab_user, offer, pattern="db")

    def found(person: User, query: str) -> list[int]:
        return [one["id"] for one in call(person, "GET", f"/requests{query}").json()["items"]]

    assert found(admin, f"?vm={vm.uuid}") == found(lab_user, f"?vm={vm.uuid}") == [request.pk]
    assert found(bert, f"?vm={vm.uuid}") == []
    assert (found(admin, "?lease=soon"), found(admin, "?lease=pinned")) == ([], [])
    leases.pin(request, admin, now=timezone.now())
    assert found(admin, "?lease=pinned") == [request.pk]
    assert call(admin, "GET", "/requests?lease=never").status_code == 422
    assert found(admin, "/undecided") == [waiting.pk]
    assert call(lab_user, "GET", "/requests/undecided").status_code in {403, 404}


def test_a_build_that_nobody_tries_again(lab_user: User, admin: User, offer: Any, settings: Any) -> None:
    """Its quota is free again after a week, and what was made of it has a lease from then on."""
    failed = ask(lab_user, offer)
    for state, step in ((RequestState.APPROVED, Step.APPROVED), (RequestState.FAILED, Step.FAILED)):
        change(failed, state, step, by=None, why="x")
    assert deciding.give_up_old() == 0
    failed.events.update(at=timezone.now() - timedelta(hours=settings.GIVE_UP_HOURS + 1))
    assert (deciding.give_up_old(), deciding.give_up_old()) == (1, 0)
    failed.refresh_from_db()
    assert failed.state == RequestState.WITHDRAWN
    assert failed.events.last().why == "Nobody has tried again for 168 hours."  # type: ignore[union-attr]
    assert not failed.reservations.filter(released_at=None).exists()
    assert Notice.objects.filter(user=lab_user, title="Drover has given up building web").exists()
    assert not Job.objects.exists() or failed.job is None
