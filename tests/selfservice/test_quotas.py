"""Quotas: what counts, what is refused, and that reserving can't be overrun."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import Group, User
from audit.models import Entry
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from jobs.states import State
from selfservice import quotas
from selfservice.measures import Amount
from selfservice.models import Quota, Reservation
from selfservice.usage import usage_of
from tests.api.kit import call
from tests.factories import GIB, make_group, make_host, make_user, make_vm
from vms.models import Snapshot
from vms.operations.change import ResizeDisk, ResizeVm
from vms.operations.power import StartVm
from vms.operations.snapshots import RevertSnapshot, TakeSnapshot
from vms.states import VmState

SMALL = Amount(vms=1, running_vms=1, vcpus=1, memory_bytes=GIB, disk_bytes=10 * GIB)


@pytest.mark.django_db
def test_it_works() -> None:
    anna, host = make_user(), make_host()
    make_vm(host, owner=anna)
    quotas.set_limits(anna, {"vms": 2, "vcpus": None})
    quotas.reserve(anna, [SMALL], "one more")
    assert usage_of(anna) == Amount(vms=2, running_vms=2, vcpus=2, memory_bytes=2 * GIB, disk_bytes=20 * GIB)
    with pytest.raises(Refused) as refused:
        quotas.reserve(anna, [SMALL], "and one more")
    assert refused.value.field == "vms"
    assert str(refused.value) == "Over your quota. VMs: 2 of 2 in use, 1 more asked for."


@pytest.mark.django_db
def test_what_counts() -> None:
    """Owned VMs whatever their state; only those that run, or were asked to start, as running; no ISO."""
    anna, group = make_user(), make_group()
    iso = {"device": "cdrom", "capacity_bytes": GIB}
    off = make_vm(None, "off", owner=anna, observed_state=VmState.OFF, hardware={"disks": [iso]})
    make_vm(None, "new", owner=anna, observed_state=VmState.CREATING, hardware={}, group=group)
    make_vm(None, "of nobody", group=group)
    assert usage_of(anna) == Amount(vms=2, running_vms=0, vcpus=2, memory_bytes=2 * GIB, disk_bytes=0)
    for state in (State.QUEUED, State.FAILED):
        Job.objects.create(operation="vms.start", target_kind="vm", target_key=str(off.uuid), state=state)
    assert usage_of(anna).running_vms == 1
    assert usage_of(group) == Amount(vms=2, running_vms=1, vcpus=2, memory_bytes=2 * GIB, disk_bytes=10 * GIB)


@pytest.mark.django_db
def test_a_reservation_counts_in_the_place_of_its_vm_until_it_is_released() -> None:
    anna = make_user()
    (one,) = quotas.reserve(anna, [Amount(vms=1, running_vms=1, vcpus=4, memory_bytes=GIB)], "web")
    quotas.attach(one, make_vm(None, owner=anna, observed_state=VmState.CREATING, hardware={}))
    assert usage_of(anna)[:3] == (1, 1, 4)
    assert quotas.release("ready", user=anna) == 1
    assert quotas.release("ready twice", user=anna) == 0
    assert usage_of(anna)[:3] == (1, 0, 1)
    one.refresh_from_db()
    assert one.why == "ready"


@pytest.mark.django_db
def test_own_or_everybodys() -> None:
    anna, group = make_user(), make_group()
    assert quotas.quota_of(anna) is None
    quotas.set_limits(None, {"vms": 1})
    assert quotas.quota_of(group) is None
    quotas.set_limits(anna, {"vms": 3})
    quotas.reserve(anna, [SMALL] * 3, "three")
    assert quotas.drop(anna)
    assert not quotas.drop(anna)
    quotas.reserve(anna, [Amount()], "nothing: who has too much may still ask for nothing")
    with pytest.raises(Refused):
        quotas.reserve(anna, [SMALL], "more")
    with pytest.raises(IntegrityError), transaction.atomic():
        Quota.objects.create(vms=7)


@pytest.mark.django_db
def test_a_group_has_its_own_limit_and_all_or_nothing_is_reserved() -> None:
    anna, group = make_user(), make_group("Networks")
    quotas.set_limits(group, {"vcpus": 3})
    with pytest.raises(Refused, match="Over the quota of Networks. vCPUs: 0 of 3 in use, 4 more asked for."):
        quotas.reserve(anna, [SMALL] * 4, "four", group)
    assert not Reservation.objects.exists()
    assert len(quotas.reserve(anna, [SMALL] * 3, "three", group)) == 3
    assert usage_of(group).vcpus == usage_of(anna).vcpus == 3


@pytest.mark.django_db
def test_starting_over_the_quota_is_refused(lab_user: User, operator: User) -> None:
    host = make_host()
    make_vm(host, "one", owner=lab_user)
    vm = make_vm(host, "two", owner=lab_user, observed_state=VmState.OFF)
    quotas.set_limits(None, {"running_vms": 1})
    with pytest.raises(Refused, match="Running VMs: 1 of 1 in use"):
        enqueue(StartVm(vm), user=lab_user)
    assert not Job.objects.exists()
    assert Entry.objects.get(action="vms.start").result == "refused"
    assert enqueue(StartVm(vm), user=operator).state == State.QUEUED


@pytest.mark.django_db
def test_snapshots_count_from_when_they_are_asked_for_until_they_are_gone(lab_user: User, operator: User) -> None:
    vm = make_vm(make_host(), owner=lab_user)
    vm.hardware["disks"][0]["format"] = "qcow2"
    vm.save(update_fields=["hardware"])
    quotas.set_limits(lab_user, {"snapshots": 2})
    first = Snapshot.objects.create(vm=vm, name="first", taken_at=timezone.now())
    job = enqueue(TakeSnapshot(vm, {"name": "second"}), user=lab_user)
    assert usage_of(lab_user).snapshots == 2
    Snapshot.objects.create(vm=vm, name="second", taken_at=timezone.now())
    assert usage_of(lab_user).snapshots == 2, "not twice while its job is not through"
    with pytest.raises(Refused, match="Snapshots: 2 of 2 in use"):
        enqueue(TakeSnapshot(vm, {"name": "third"}), user=lab_user)
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    enqueue(TakeSnapshot(vm, {"name": "by an operator"}), user=operator)
    Job.objects.filter(pk__gt=job.pk).update(state=State.FAILED)
    first.delete()
    enqueue(TakeSnapshot(vm, {"name": "third"}), user=lab_user)
    vm.delete()
    assert usage_of(lab_user).snapshots == 0


@pytest.mark.django_db
def test_going_back_brings_no_more_than_the_quota_lets(lab_user: User) -> None:
    vm = make_vm(make_host(), owner=lab_user, observed_state=VmState.OFF)
    had = {"vcpus": 8, "memory_bytes": GIB, "has_memory": True}
    Snapshot.objects.create(vm=vm, name="large", taken_at=timezone.now(), **had)
    quotas.set_limits(lab_user, {"vcpus": 4})
    with pytest.raises(Refused, match="vCPUs: 1 of 4 in use, 7 more asked for"):
        enqueue(RevertSnapshot(vm, {"name": "large"}), user=lab_user)
    quotas.set_limits(lab_user, {"vcpus": 8, "running_vms": 0})
    with pytest.raises(Refused, match="Running VMs"):
        enqueue(RevertSnapshot(vm, {"name": "large"}), user=lab_user)


@pytest.mark.django_db
def test_a_manager_grows_the_vms_of_the_group_within_its_quota() -> None:
    """What was asked for counts at once; a shrinking is never too much."""
    manager, host = make_user("mia"), make_host()
    group = make_group("Networks", manager=manager)
    one, two = (make_vm(host, name, group=group) for name in ("one", "two"))
    quotas.set_limits(group, {"vcpus": 4, "disk_bytes": 25 * GIB})
    enqueue(ResizeVm(one, {"vcpus": 3}), user=manager)
    assert usage_of(group).vcpus == 4
    with pytest.raises(Refused, match="Over the quota of Networks. vCPUs: 4 of 4 in use, 1 more asked for.") as refused:
        enqueue(ResizeVm(two, {"vcpus": 2}), user=manager)
    assert refused.value.field == "vcpus"
    with pytest.raises(Refused, match="Disks"):
        enqueue(ResizeDisk(two, {"target": "vda", "size_bytes": 16 * GIB}), user=manager)
    enqueue(ResizeDisk(two, {"target": "vda", "size_bytes": 15 * GIB}), user=manager)
    assert usage_of(group).disk_bytes == 25 * GIB
    quotas.set_limits(group, {"vcpus": 1, "memory_bytes": 1})
    enqueue(ResizeVm(two, {"memory_bytes": GIB // 2}), user=manager)


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What the calls return (or refuse) when their threads begin together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        except Refused as refused:
            return refused
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "wishes",
    [
        pytest.param(40, marks=pytest.mark.postgres, id="a-thousand-on-postgresql"),
        pytest.param(40, marks=pytest.mark.processes, id="a-thousand-on-sqlite"),
    ],
)
def test_many_at_once_cant_overrun_it(wishes: int) -> None:
    """25 threads with so many wishes each, for a person and a group, on whichever database the tests run."""
    anna, bert, group = make_user(), make_user("bert"), make_group()
    quotas.set_limits(None, {"vms": 12, "memory_bytes": 10 * GIB})
    quotas.set_limits(group, {"vcpus": 15})

    def ask(user: User, into: Group | None) -> int:
        taken = 0
        for _each in range(wishes):
            try:
                taken += len(quotas.reserve(user, [SMALL], "one", into))
            except Refused:
                continue
        return taken

    calls = [lambda user=user: ask(user, group) for _each in range(12) for user in (anna, bert)]
    taken: Any = at_once(*calls, lambda: ask(bert, group))
    assert sum(taken) == Reservation.objects.count() == 15
    assert usage_of(group).vcpus == 15
    assert max(usage_of(anna).vms, usage_of(bert).vms) <= 10
    assert usage_of(anna).vms + usage_of(bert).vms == 15


@pytest.mark.django_db(transaction=True)
def test_starts_at_once_cant_overrun_it() -> None:
    anna, host = make_user(), make_host()
    vms = [make_vm(host, f"vm-{n}", owner=anna, observed_state=VmState.OFF) for n in range(10)]
    quotas.set_limits(anna, {"running_vms": 3})
    found = at_once(*[lambda vm=vm: enqueue(StartVm(vm), user=anna) for vm in vms])
    assert len([one for one in found if isinstance(one, Job)]) == Job.objects.count() == 3


@pytest.mark.django_db
def test_pages(admin_client: Client, admin: User, lab_user: User) -> None:
    group = make_group("Networks")
    make_vm(make_host(), owner=lab_user, group=group)
    page = reverse("selfservice:quotas")
    assert "Nobody has a quota of their own" in admin_client.get(page).content.decode()
    wrong = {"vms": "-1", "memory_bytes": "much"}
    answer = admin_client.post(reverse("selfservice:edit_everybody"), wrong)
    assert answer.status_code == 422
    assert "Write a size such as 2 GiB" in answer.content.decode()
    admin_client.post(reverse("selfservice:edit_everybody"), {"vms": "2", "memory_bytes": "4 GiB"})
    admin_client.post(reverse("selfservice:edit_person", args=[lab_user.pk]), {"vms": "5"})
    admin_client.post(reverse("selfservice:edit_group", args=[group.pk]), {"disk_bytes": "0"})
    text = admin_client.get(page).content.decode()
    for word in ("4\xa0GiB", "lena", "Networks", "no limit", "0\xa0B"):
        assert word in text, word
    card = admin_client.get(reverse("selfservice:of_person", args=[lab_user.pk])).content.decode()
    assert "1 of 5" in card
    admin_client.post(reverse("selfservice:drop_person", args=[lab_user.pk]))
    assert "1 of 2" in admin_client.get(reverse("selfservice:of_person", args=[lab_user.pk])).content.decode()
    assert "10\xa0GiB of 0\xa0B" in admin_client.get(reverse("selfservice:of_group", args=[group.pk])).content.decode()
    told = Entry.objects.filter(kind="quota").order_by("id").values_list("action", "label", "who")
    assert list(told) == [
        ("selfservice.quota_made", "everybody", "ada"),
        ("selfservice.quota_made", "lena", "ada"),
        ("selfservice.quota_made", "Networks", "ada"),
        ("selfservice.quota_removed", "lena", "ada"),
    ]


@pytest.mark.django_db
def test_my_own(client: Client, lab_user: User) -> None:
    client.force_login(lab_user)
    assert "There is no limit" in client.get(reverse("selfservice:mine")).content.decode()
    quotas.set_limits(lab_user, {"vms": 4})
    make_vm(make_host(), owner=lab_user)
    piece = client.get(reverse("selfservice:mine"), headers={"HX-Request": "true"}).content.decode()
    assert "1 of 4" in piece
    assert "<html" not in piece
    assert reverse("selfservice:mine") in client.get(reverse("vms:index")).content.decode()


@pytest.mark.django_db
def test_api(admin: User, lab_user: User) -> None:
    path = f"/people/{lab_user.pk}/quota"
    assert call(admin, "PUT", path, {"vms": 3}).json()["limits"]["vms"] == 3
    mine = call(lab_user, "GET", "/quotas/mine").json()
    assert mine["is_own"] is True
    assert (mine["limits"]["vms"], mine["limits"]["vcpus"], mine["used"]["vms"]) == (3, None, 0)
    assert call(admin, "PUT", "/quotas/everybody", {"vcpus": 2}).json()["user"] is None
    assert call(admin, "PUT", path, {"vms": -3}).status_code == 422
    assert [row["user"] for row in call(admin, "GET", "/quotas").json()["items"]] == [None, "lena"]
    assert call(admin, "DELETE", path).status_code == 204
    assert call(lab_user, "GET", "/quotas/mine").json()["limits"]["vcpus"] == 2
    assert call(lab_user, "PUT", path, {"vms": 9}).status_code == 404
