"""Building on libvirt's test driver, which can't store a seed: how a build fails, and what is left of it."""

from typing import Any

import pytest

from access.models import User
from jobs import work
from jobs.engine import cancel
from jobs.models import Job, JobLock
from jobs.run import Run
from jobs.states import State
from selfservice import building, deciding, quotas
from selfservice.models import Request, Reservation
from selfservice.operations import BuildRequest
from selfservice.states import RequestState, Step
from selfservice.steps import change
from selfservice.usage import usage_of
from storage.models import Image, ImageState, Pool
from tests.factories import GIB, make_group, make_network, make_vm
from tests.selfservice.kit import MIB, ask, make_offer
from vms.models import Vm
from vms.operations.delete import drop_row
from vms.states import VmState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]


@pytest.fixture
def offer(admin: User, pool: Pool) -> Any:
    make_network("default", pool.presences.get().host)
    volume = {"volume_name": "tiny.qcow2", "virtual_size_bytes": 4 * MIB, "path": "/default-pool/tiny.qcow2"}
    Image.objects.create(name="tiny", version="1", pool=pool, state=ImageState.READY, **volume)
    return make_offer(admin, pool=pool, least_disk_bytes=8 * MIB, disk_bytes=8 * MIB)


def built(request: Request) -> Request:
    """Run its job, and the parts."""
    request.refresh_from_db()
    assert request.job is not None
    work.run(request.job.pk)
    for part in Job.objects.filter(parent=request.job, state=State.QUEUED).order_by("pk"):
        work.run(part.pk)
    request.refresh_from_db()
    return request


def test_a_build_that_fails_keeps_what_is_reserved(admin: User, lab_user: User, offer: Any) -> None:
    """Plain words for who asked; nothing half made is left; "try again" uses the same reservation."""
    request = ask(lab_user, offer, count=2, disk_bytes=8 * MIB, group=make_group("Networks", lab_user))
    deciding.approve(request, admin)
    quotas.set_limits(lab_user, {"vms": 2})
    assert built(request).state == RequestState.FAILED
    assert request.events.get(step=Step.FAILED).why == "2 of 2 VMs could not be made."
    assert request.job is not None
    assert request.job.state == State.FAILED
    assert not Vm.objects.exists()
    assert usage_of(lab_user).vms == 2
    deciding.retry(request, lab_user)
    assert built(request).state == RequestState.FAILED
    assert Reservation.objects.filter(released_at=None, vm=None).count() == 2
    assert Job.objects.filter(operation="selfservice.build").count() == 2


def test_rows_are_the_askers_and_made_once(admin: User, lab_user: User, offer: Any) -> None:
    """A worker that dies after the rows were written: the next one makes no others."""
    make_vm(None, "web-01")
    group = make_group("Networks", lab_user)
    request = ask(lab_user, offer, count=2, pattern="web-##", disk_bytes=8 * MIB, group=group)
    job = deciding.approve(request, admin).job
    assert job is not None
    work.run(job.pk)
    vms = list(Vm.objects.filter(owner=lab_user).order_by("name"))
    assert [vm.name for vm in vms] == ["web-02", "web-03"], "web-01 is somebody's"
    assert {vm.group for vm in vms} == {group}
    assert usage_of(lab_user).vms == 2, "counted once, by the reservations"
    Job.objects.filter(parent=job).order_by("pk").last().delete()  # type: ignore[union-attr]
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED, worker="")
    work.run(job.pk)
    assert Vm.objects.filter(owner=lab_user).count() == 2
    assert set(Job.objects.filter(parent=job).values_list("target_key", flat=True)) == {str(vm.uuid) for vm in vms}


def test_what_is_there_counts_by_itself(admin: User, lab_user: User, offer: Any) -> None:
    """One of two was made: it stays, and is no longer reserved; giving up keeps it and frees the rest."""
    request = ask(lab_user, offer, count=2, disk_bytes=8 * MIB)
    job = deciding.approve(request, admin).job
    assert job is not None
    work.run(job.pk)
    first, second = Vm.objects.order_by("name")
    good, bad = (Job.objects.get(parent=job, target_key=str(vm.uuid)) for vm in (first, second))
    Vm.objects.filter(pk=first.pk).update(observed_state=VmState.RUNNING)  # as its job would leave it
    Job.objects.filter(pk=good.pk).update(state=State.SUCCEEDED)
    work.run(bad.pk)
    request.refresh_from_db()
    assert request.state == RequestState.FAILED
    assert request.events.get(step=Step.FAILED).why == "1 of 2 VMs could not be made."
    assert [one.vm for one in Reservation.objects.filter(why="it is there")] == [first]
    assert usage_of(lab_user).vms == 2
    assert len(building.missing(request)) == 1
    deciding.give_up(request, lab_user)
    request.refresh_from_db()
    assert (request.state, usage_of(lab_user).vms) == (RequestState.READY, 1)
    assert request.until is not None
    drop_row(first)
    request.refresh_from_db()
    assert (request.state, request.events.last().step) == (RequestState.DELETED, Step.DELETED)  # type: ignore[union-attr]


def test_the_reason_is_told_without_places(admin: User, lab_user: User, offer: Any, host: Any) -> None:
    """What the part says, to who does not see the cluster without the host's name."""
    request = ask(lab_user, offer, disk_bytes=8 * MIB)
    job = deciding.approve(request, admin).job
    assert job is not None
    work.run(job.pk)
    part = Job.objects.get(parent=job)
    part.state, part.error = State.FAILED, f"{host.name} has no room in its pool."
    part.save()
    job.refresh_from_db()
    said = BuildRequest(request).why(Run(job), request)
    assert said == "The VM could not be made. a host has no room in its pool."


def test_no_room(admin: User, lab_user: User, offer: Any, host: Any) -> None:
    """The person reads that there is none, the administrator where what was missing."""
    request = ask(lab_user, offer, memory_bytes=4 * GIB, disk_bytes=8 * MIB)
    type(host).objects.filter(pk=host.pk).update(memory_free_bytes=GIB, memory_bytes=2 * GIB)
    deciding.approve(request, admin)
    assert built(request).state == RequestState.FAILED
    why = request.events.get(step=Step.FAILED).why
    assert why.startswith("There is no room for it at the moment.")
    assert "vmhost1" not in why
    assert request.job is not None
    assert "vmhost1" in request.job.technical


@pytest.mark.parametrize(("gone", "words"), [("image", "The image of this offer"), ("pool", "The place for its disk")])
def test_what_the_offer_needs_is_gone(admin: User, lab_user: User, offer: Any, gone: str, words: str) -> None:
    request = ask(lab_user, offer, disk_bytes=8 * MIB)
    Image.objects.all().delete()
    if gone == "pool":
        Image.objects.create(name="tiny", version="2", pool=Pool.objects.create(name="p2"), state=ImageState.READY)
        Pool.objects.exclude(name="p2").delete()
    deciding.approve(request, admin)
    assert built(request).events.get(step=Step.FAILED).why.startswith(words)


def test_stopped(admin: User, lab_user: User, offer: Any) -> None:
    request = ask(lab_user, offer, disk_bytes=8 * MIB)
    job = deciding.approve(request, admin).job
    assert job is not None
    cancel(job, admin)
    request.refresh_from_db()
    assert request.state == RequestState.FAILED
    assert request.events.get(step=Step.FAILED).why == "Somebody stopped it."
    assert BuildRequest.refusal(admin, request) is not None, "only approving asks for it"


def test_nothing_is_missing_when_it_is_tried_again(admin: User, lab_user: User, offer: Any) -> None:
    """The build was given up while its VM was still being made, and it came after all."""
    request = ask(lab_user, offer, disk_bytes=8 * MIB)
    job = deciding.approve(request, admin).job
    assert job is not None
    work.run(job.pk)
    assert building.missing(request) == [], "its job has not ended"
    change(request, RequestState.FAILED, Step.FAILED, by=None)
    Vm.objects.update(observed_state=VmState.RUNNING)
    Job.objects.update(state=State.SUCCEEDED)
    JobLock.objects.all().delete()
    deciding.retry(request, lab_user)
    assert built(request).state == RequestState.READY
    assert (Vm.objects.count(), usage_of(lab_user).vms) == (1, 1)
    assert not Reservation.objects.filter(released_at=None).exists()
