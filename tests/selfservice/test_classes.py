"""Classes: who may, the roster, names, all or nothing, making, what is done to all, the pages and the API."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from access import ssh_keys
from access.models import Group, User
from jobs import work
from jobs.engine import cancel
from jobs.errors import Refused
from jobs.models import Job
from jobs.states import State
from notices.models import Notice
from selfservice import class_doing, classes, deciding, quotas
from selfservice.class_operations import START
from selfservice.models import LabClass, Offer, Request, Reservation, Seat
from selfservice.states import RequestState, Step
from selfservice.steps import change
from selfservice.usage import usage_of
from tests.api.kit import call
from tests.factories import GIB, client_of, make_group, make_host, make_user, make_vm
from tests.selfservice.kit import make_offer, make_place
from vms.models import Snapshot, Vm
from vms.states import VmState

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKxnVwu7SGvtZrcBMCKhDxzQ7bkAvxVzqFTfWQ1nlEvX anna@laptop"


@pytest.fixture
def teacher() -> User:
    return make_user("tina")


@pytest.fixture
def pupils() -> list[User]:
    return [make_user(name) for name in ("anna", "bert", "jürgen.s")]


@pytest.fixture
def group(teacher: User, pupils: list[User]) -> Group:
    return make_group("Networks", *pupils, manager=teacher)


@pytest.fixture
def offer(admin: User) -> Offer:
    return make_offer(admin, pool=make_place())


def wish_of(offer: Offer, people: list[User], **more: Any) -> classes.Wish:
    sizes = {"vcpus": 1, "memory_bytes": GIB, "disk_bytes": 10 * GIB}
    given = {"name": "Net 1", "version": offer.latest(), "people": people, "sizes": sizes, "values": {}}
    return classes.Wish(**{**given, **more})


def ready(lab_class: LabClass) -> list[Vm]:
    """All seats with a running VM, as if they had been built."""
    host, made = make_host("vmhost8"), []
    for seat in lab_class.seats.select_related("request", "user"):
        vm = make_vm(host, seat.request.pattern, owner=seat.user, group=lab_class.group)
        request = change(seat.request, RequestState.BUILDING, Step.BEGUN, by=None)
        quotas.attach(request.reservations.get(), vm)
        quotas.release("it is there", request=request)
        lease = deciding.terms.begin(request, timezone.now())
        change(request, RequestState.READY, Step.READY, by=None, **lease)
        made.append(vm)
    Job.objects.update(state=State.SUCCEEDED)
    return made


def test_each_seat_is_a_request_of_its_person(teacher: User, pupils: list[User], group: Group, offer: Offer) -> None:
    ssh_keys.add(pupils[0], KEY)
    until = timezone.now() + timedelta(days=20)
    made = classes.make(teacher, group, wish_of(offer, pupils, until=until))
    rows = list(Request.objects.filter(seat__lab_class=made).order_by("pk"))
    assert [(one.asker, one.pattern, one.state) for one in rows] == [
        (pupils[0], "Net-1-anna", "approved"),
        (pupils[1], "Net-1-bert", "approved"),
        (pupils[2], "Net-1-jurgen.s", "approved"),
    ]
    assert {(one.group, one.decided_by, one.count, one.until) for one in rows} == {(group, teacher, 1, until)}
    assert [len(one.ssh_keys) for one in rows] == [1, 0, 0], "each with their own keys"
    assert usage_of(group).vms == 3
    assert usage_of(pupils[1]).memory_bytes == GIB
    assert not Notice.objects.exists(), "nobody asked, nobody is to decide"
    assert made.job is not None
    assert "Busy" in str(classes.busy(made))
    assert (made.job.operation, made.job.user) == ("selfservice.class-make", teacher)
    ready(made)
    assert {one.until for one in Request.objects.all()} == {until}, "and not the offer's usual lease"


def test_all_or_nothing(teacher: User, pupils: list[User], group: Group, offer: Offer) -> None:
    """The first quota without room is named; nothing of the class is left."""
    quotas.set_limits(pupils[1], {"vms": 0})
    with pytest.raises(Refused, match="Over the quota of bert"):
        classes.make(teacher, group, wish_of(offer, pupils))
    quotas.set_limits(pupils[1], {"vms": 1})
    quotas.set_limits(group, {"vms": 2})
    with pytest.raises(Refused, match="Over the quota of Networks"):
        classes.make(teacher, group, wish_of(offer, pupils))
    counts = [model._default_manager.count() for model in (LabClass, Seat, Request, Reservation, Job)]
    assert counts == [0] * 5
    assert len(classes.make(teacher, group, wish_of(offer, pupils[:2])).seats.all()) == 2


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("lab", "Two VMs would be called lab"),
        ("<user>/x", "anna/x: "),
        ("<who>-<user>", "not <who>"),
        ("x" * 58 + "-<user>", "longer than 60"),
        ("pc-#", "There are VMs of this name already: pc-2"),
    ],
)
def test_names_that_can_not_be(
    pattern: str, why: str, teacher: User, pupils: list[User], group: Group, offer: Offer
) -> None:
    make_vm(None, "pc-2")
    with pytest.raises(Refused, match=why) as refused:
        classes.make(teacher, group, wish_of(offer, pupils, pattern=pattern))
    assert refused.value.field == "pattern"


def test_nobody_makes_a_class_for_themselves(teacher: User, group: Group, offer: Offer, admin: User) -> None:
    """Of an offer about which somebody decides; the group's other managers may."""
    with pytest.raises(Refused, match="somebody else decides"):
        classes.make(teacher, group, wish_of(offer, [teacher]))
    classes.make(admin, group, wish_of(offer, [teacher]))


def test_an_end_beyond_all_calendars(teacher: User, pupils: list[User], group: Group, admin: User) -> None:
    endless = make_offer(admin, name="Endless", pool=make_place(), most_lease_days=None)
    for until in (timezone.now() + timedelta(days=4000), datetime.max.replace(tzinfo=UTC)):
        with pytest.raises(Refused, match="too far away"):
            classes.make(teacher, group, wish_of(endless, pupils, until=until))


def test_names_by_number(pupils: list[User]) -> None:
    assert classes.names_of("pc##-<class>", "Übung 3", pupils[:2]) == ["pc01-Ubung-3", "pc02-Ubung-3"]


def test_who_may(admin: User, teacher: User, pupils: list[User], group: Group, offer: Offer) -> None:
    """Managers of the group and operators; a class lasts no longer than its offer gives to who can't decide that."""
    other = make_user("otto")
    make_group("Databases", manager=other)
    for nobody in (pupils[0], other):
        with pytest.raises(PermissionDenied):
            classes.make(nobody, group, wish_of(offer, pupils))
    late = timezone.now() + timedelta(days=90)
    with pytest.raises(Refused, match="at most") as refused:
        classes.make(teacher, group, wish_of(offer, pupils, until=late))
    assert refused.value.field == "until"
    made = classes.make(admin, group, wish_of(offer, [*pupils, other], until=late))
    assert group.memberships.filter(user=other).exists(), "an administrator puts people into the group by it"
    page = reverse("selfservice:class", args=[made.pk])
    assert [client_of(one).get(page).status_code for one in (teacher, pupils[0], other)] == [200, 404, 404]


def test_a_build_that_was_stopped_and_tried_again(
    teacher: User, pupils: list[User], group: Group, offer: Offer
) -> None:
    """No seat waits for ever; "try again" makes those that failed, of what is reserved still."""
    made = classes.make(teacher, group, wish_of(offer, pupils))
    assert made.job is not None
    cancel(made.job, teacher)
    assert set(Request.objects.values_list("state", flat=True)) == {"failed"}
    assert usage_of(group).vms == 3
    job = classes.again(made, teacher).job
    assert job is not None
    work.run(job.pk)
    parts = Job.objects.filter(parent=job)
    assert sorted(parts.values_list("target_key", flat=True)) == sorted(str(one.pk) for one in Request.objects.all())
    parts.last().delete()  # type: ignore[union-attr]
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED, worker="")
    work.run(job.pk)
    assert parts.count() == 3, "a worker that died goes on where it was: each part once"
    Job.objects.update(state=State.SUCCEEDED)
    with pytest.raises(Refused, match="None of its VMs has failed"):
        classes.again(made, teacher)


def test_the_end_of_its_making(teacher: User, pupils: list[User], group: Group, offer: Offer) -> None:
    """The maker is told; the VMs that are there get their start snapshots, those that have one do not get another."""
    made = classes.make(teacher, group, wish_of(offer, pupils))
    vms = ready(made)
    Snapshot.objects.create(vm=vms[0], name=START, taken_at=timezone.now())
    Job.objects.filter(operation="selfservice.class-make").update(state=State.QUEUED)
    work.run(made.job_id or 0)
    job = Job.objects.get(operation="vms.bulk")
    assert job.params["verb"] == "vms.snapshot-renew"
    assert set(job.params["vms"]) == {str(vm.uuid) for vm in vms[1:]}
    assert Notice.objects.get(user=teacher, kind="class").title == "The class Net 1 is ready"


@pytest.mark.parametrize(
    ("verb", "operation", "number"),
    [
        ("start", "vms.start", 1),
        ("shutdown", "vms.shutdown", 2),
        ("force-off", "vms.force-off", 2),
        ("reset", "vms.snapshot-revert", 1),
        ("snapshot", "vms.snapshot-renew", 3),
    ],
)
def test_actions_on_all(
    verb: str, operation: str, number: int, teacher: User, pupils: list[User], group: Group, offer: Offer
) -> None:
    """By the page: one job, with a part for each VM that it is for."""
    made = classes.make(teacher, group, wish_of(offer, pupils))
    vms = ready(made)
    Snapshot.objects.create(vm=vms[1], name=START, taken_at=timezone.now(), vcpus=1, memory_bytes=GIB)
    Vm.objects.filter(pk=vms[0].pk).update(observed_state=VmState.OFF)
    make_vm(vms[0].host, "foreign", group=group)
    done = client_of(teacher).post(reverse("selfservice:act_on_class", args=[made.pk, verb]))
    assert done.status_code == 302
    job = Job.objects.get(operation="vms.bulk")
    work.run(job.pk)
    parts = Job.objects.filter(parent=job)
    assert [part.operation for part in parts] == [operation] * number
    assert {part.params.get("name", START) for part in parts} == {START}


def test_given_until_and_ended(teacher: User, pupils: list[User], group: Group, offer: Offer) -> None:
    """In one job, with a result for each; the end takes what failed with it, and deletes the rest."""
    made = classes.make(teacher, group, wish_of(offer, pupils))
    ready(made)
    one = Request.objects.order_by("pk").first()
    assert one is not None
    Request.objects.filter(pk=one.pk).update(most_until=timezone.now() + timedelta(days=5))
    until = timezone.now() + timedelta(days=30)
    made.refresh_from_db()
    work.run(class_doing.act(teacher, made, "until", until).pk)
    job = Job.objects.get(operation="selfservice.class-until")
    assert (job.state, job.result["done"], job.result["refused"][0]["name"]) == (State.FAILED, 2, "Net-1-anna")
    assert Request.objects.filter(until=until).count() == 2
    made.refresh_from_db()
    work.run(class_doing.act(teacher, made, "end").pk)
    assert Request.objects.filter(returned_at__isnull=False).count() == 3
    assert Job.objects.filter(operation="selfservice.delete").count() == 3
    made.refresh_from_db()
    assert made.ended_at is not None


def test_the_form(teacher: User, pupils: list[User], group: Group, offer: Offer) -> None:
    """By a list: who is not known is told line by line, and nothing is made; then by what is ticked."""
    client, url = client_of(teacher), reverse("selfservice:new_class", args=[group.pk])
    page = client.get(url).content.decode()
    assert page.count("checked") == 4, "all but the manager; and the start snapshot"
    sizes = {"vcpus": "1", "memory_bytes": "1 GiB", "disk_bytes": "10 GiB"}
    data = {"version": "1", "name": "Net 1", "pattern": "<user>-<class>", "wants_snapshot": "on", **sizes}
    make_user("otto")
    wrong = client.post(url, {**data, "names": "user,room\nanna,1\nnobody,2\notto,3"})
    text = wrong.content.decode()
    assert wrong.status_code == 422
    assert "nobody: there is nobody of this name." in text
    assert "otto is not in the group." in text
    assert not LabClass.objects.exists()
    looked = client.post(reverse("selfservice:look_class", args=[group.pk]), {**data, "people": [pupils[0].pk]})
    assert "anna-Net-1" in looked.content.decode()
    assert "Without an SSH key in their profile: anna" in looked.content.decode()
    ssh_keys.add(pupils[0], KEY)
    looked = client.post(reverse("selfservice:look_class", args=[group.pk]), {**data, "people": [pupils[0].pk]})
    assert "Without an SSH key" not in looked.content.decode()
    file = SimpleUploadedFile("roster.csv", b"user\nanna\nbert\n")
    done = client.post(url, {**data, "file": file})
    made = LabClass.objects.get()
    assert done.headers["Location"] == made.get_absolute_url()
    assert list(made.seats.values_list("user__username", flat=True)) == ["anna", "bert"]
    ended = client.post(reverse("selfservice:act_on_class", args=[made.pk, "end"]), {"typed": "Net"})
    assert "This is not its name." in ended.content.decode()


def test_its_page_asks_few_questions(
    teacher: User, group: Group, offer: Offer, django_assert_max_num_queries: Any
) -> None:
    """As many for ten seats as for forty; a seat whose VM is no longer the group's shows nothing of it."""
    people = [User(username=f"p{number:02}", email=f"{number}@x.test") for number in range(40)]
    User.objects.bulk_create(people)
    group.members.add(*people)
    made = classes.make(teacher, group, wish_of(offer, people[:10]))
    larger = classes.make(teacher, group, wish_of(offer, people[10:], pattern="z-<user>"))
    vms = ready(made)
    Vm.objects.filter(pk=vms[0].pk).update(group=None)
    client = client_of(teacher)
    with CaptureQueriesContext(connection) as few:
        page = client.get(made.get_absolute_url()).content.decode()
    assert page.count('class="card seat"') == 10
    assert page.count('data-live-in-view="screen.') == 9
    with CaptureQueriesContext(connection) as many:
        assert client.get(larger.get_absolute_url()).content.decode().count("being made") == 30
    assert len(many) <= len(few) + 2
    assert len(few) < 30


def test_the_api(teacher: User, pupils: list[User], group: Group, offer: Offer) -> None:
    body = {"group": group.pk, "offer": offer.pk, "version": 1, "name": "Net 1", "people": ["anna", "bert"]}
    assert call(teacher, "POST", "/classes", {**body, "people": ["anna", "x"]}).status_code == 422
    made = call(teacher, "POST", "/classes", body)
    assert made.status_code == 201, made.content
    shown = made.json()
    assert [seat["user"] for seat in shown["seats"]] == ["anna", "bert"]
    assert call(pupils[0], "GET", f"/classes/{shown['id']}").status_code == 404
    assert [one["name"] for one in call(teacher, "GET", "/classes").json()["items"]] == ["Net 1"]
    ready(LabClass.objects.get())
    until = (timezone.now() + timedelta(days=30)).isoformat()
    done = call(teacher, "POST", f"/classes/{shown['id']}/actions/until", {"until": until})
    assert (done.status_code, done.json()["operation"]) == (202, "selfservice.class-until")
    assert call(teacher, "POST", f"/classes/{shown['id']}/actions/explode", {}).status_code in {404, 422}
    assert call(teacher, "POST", f"/classes/{shown['id']}/actions/end", {"name": "x"}).status_code == 422
