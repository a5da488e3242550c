"""Which VM goes where, what stays and why. That they really move is in the lab's tests."""

import pytest

from access.models import User
from cluster.operations import vms_to_move
from hosts.models import Host
from jobs import care, engine, work
from jobs.errors import Refused
from jobs.models import Job
from jobs.operations import by_name
from jobs.states import State
from storage.models import Pool
from tests.factories import GIB, make_host, make_pool, make_vm
from vms.states import VmState


@pytest.fixture
def hosts(db: None, monkeypatch: pytest.MonkeyPatch) -> list[Host]:
    monkeypatch.setattr(work, "_start_heart", lambda: None)
    return [make_host("vmhost1"), make_host("vmhost2"), make_host("vmhost3", memory_free_bytes=11 * GIB)]


@pytest.fixture
def pool(hosts: list[Host]) -> Pool:
    return make_pool("shared", *hosts)


def evacuate(host: Host, user: User, **params: object) -> Job:
    job = engine.enqueue(by_name("hosts.evacuate")(host, params), user=user)
    work.run(job.pk)
    job.refresh_from_db()
    return job


def targets(job: Job) -> dict[str, str]:
    names = dict(Host.objects.values_list("pk", "name"))
    return {child.target_label: names[child.params["host"]] for child in job.children.all()}


def end_parts(job: Job, state: State = State.SUCCEEDED) -> Job:
    job.children.update(state=state)
    care.look_after()
    job.refresh_from_db()
    return job


def test_it_works(hosts: list[Host], pool: Pool, admin: User) -> None:
    vms = [make_vm(hosts[0], f"vm{n}", pool=pool, memory_bytes=4 * GIB) for n in range(4)]
    job = evacuate(hosts[0], admin, note="new disks")
    assert job.state == State.WAITING
    hosts[0].refresh_from_db()
    assert (hosts[0].maintenance, hosts[0].maintenance_note) == (True, "new disks")
    assert len(targets(job)) == len(vms)
    assert sorted(targets(job).values()) == ["vmhost2", "vmhost2", "vmhost3", "vmhost3"]  # spread by free memory
    assert {child.params["mode"] for child in job.children.all()} == {"live"}
    assert end_parts(job).result["moved"] == 4


def test_the_largest_first(hosts: list[Host], pool: Pool) -> None:
    for name, size in (("small", 1), ("large", 8), ("middle", 4)):
        make_vm(hosts[0], name, pool=pool, memory_bytes=size * GIB)
    assert [vm.name for vm in vms_to_move(hosts[0], include_off=False)] == ["large", "middle", "small"]


def test_vms_that_are_off_only_if_wanted(hosts: list[Host], pool: Pool, admin: User) -> None:
    make_vm(hosts[0], "off", pool=pool, observed_state=VmState.OFF)
    assert evacuate(hosts[0], admin).state == State.SUCCEEDED
    job = evacuate(hosts[0], admin, include_off=True)
    assert [child.params["mode"] for child in job.children.all()] == ["offline"]


def test_an_empty_host_is_done_at_once(hosts: list[Host], admin: User) -> None:
    assert evacuate(hosts[0], admin).state == State.SUCCEEDED


def test_what_can_not_move_is_named_with_the_reason(hosts: list[Host], pool: Pool, admin: User) -> None:
    make_vm(hosts[0], "free", pool=pool)
    local = make_pool("local", *hosts, kind="dir")
    make_vm(hosts[0], "bound", pool=local)
    job = evacuate(hosts[0], admin)
    assert list(targets(job)) == ["free"]
    assert "each host has for itself" in job.result["left"]["bound"]
    job = end_parts(job)
    assert (job.state, job.error) == (State.FAILED, "These VMs stayed: bound.")


def test_nothing_can_move(hosts: list[Host], admin: User) -> None:
    local = make_pool("local", *hosts, kind="dir")
    make_vm(hosts[0], "bound", pool=local)
    job = evacuate(hosts[0], admin)
    assert job.state == State.FAILED
    assert "bound" in job.error


def test_memory_that_is_taken_by_those_before_counts(hosts: list[Host], pool: Pool, admin: User) -> None:
    for number in range(3):
        make_vm(hosts[0], f"vm{number}", pool=pool, memory_bytes=10 * GIB)
    job = evacuate(hosts[0], admin)
    assert sorted(targets(job).values()) == ["vmhost2", "vmhost3"]
    assert len(job.result["left"]) == 1


def test_a_repeated_run_begins_nothing_twice(hosts: list[Host], pool: Pool, admin: User) -> None:
    make_vm(hosts[0], "one", pool=pool)
    job = evacuate(hosts[0], admin)
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED, attempt=1)  # its worker died
    work.run(job.pk)
    assert job.children.count() == 1


def test_parts_that_fail_fail_the_whole(hosts: list[Host], pool: Pool, admin: User) -> None:
    make_vm(hosts[0], "one", pool=pool)
    job = end_parts(evacuate(hosts[0], admin), State.FAILED)
    assert (job.state, job.error) == (State.FAILED, "1 of 1 parts failed; see each for its reason.")


def test_cancel_cancels_the_parts(hosts: list[Host], pool: Pool, admin: User) -> None:
    make_vm(hosts[0], "one", pool=pool)
    job = evacuate(hosts[0], admin)
    assert engine.cancel(job, admin)
    assert job.children.get().state == State.CANCELLED
    job.refresh_from_db()
    assert job.state == State.CANCELLED


def test_not_without_another_host(db: None, admin: User) -> None:
    alone = make_host("alone")
    make_host("resting", maintenance=True)
    make_host("gone", observed_state="unreachable")
    with pytest.raises(Refused, match="No other host is up"):
        engine.enqueue(by_name("hosts.evacuate")(alone), user=admin)


def test_not_while_it_does_not_answer(db: None, admin: User) -> None:
    make_host("other")
    with pytest.raises(Refused, match="Not possible while it does not answer"):
        engine.enqueue(by_name("hosts.evacuate")(make_host("gone", observed_state="unreachable")), user=admin)


def test_operators_can_not(hosts: list[Host], operator: User) -> None:
    assert by_name("hosts.evacuate").refusal(operator, hosts[0])
