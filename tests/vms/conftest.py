"""A simulated host with VMs on it: libvirt's own test driver, reached through the same door as a real one."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from access.models import User
from hosts.models import Host
from jobs import engine, waiting, work
from jobs.models import Job
from jobs.operations import Operation
from storage.models import Pool
from tests.factories import make_host, make_pool
from virt import guests
from virt.connection import close_idle, connect
from virt.xml import domain
from virt.xml.cpu import CpuSpec
from vms import sync
from vms.models import Vm

MIB = 1024 * 1024
Runner = Callable[..., Job]


@pytest.fixture
def host(db: None) -> Iterator[Host]:
    """libvirt's test:///default; it begins anew for each test because its last connection is closed."""
    yield make_host("vmhost1")
    close_idle(older_than_s=0)


@pytest.fixture
def pool(host: Host) -> Pool:
    """The pool that the simulated host has."""
    pool = make_pool("default-pool", host, kind="dir")
    Pool.objects.filter(pk=pool.pk).update(target_path="/default-pool")
    pool.refresh_from_db()
    return pool


@pytest.fixture
def a_vm(host: Host) -> Callable[..., Vm]:
    """Define a VM on the simulated host and read it into a row."""

    def make(name: str = "web-07", *, running: bool = True, owner: User | None = None) -> Vm:
        vm = Vm(uuid=uuid4(), name=name, host=host, owner=owner)
        spec = domain.DomainSpec(
            name=name,
            uuid=str(vm.uuid),
            memory_bytes=256 * MIB,
            vcpus=1,
            max_vcpus=2,
            domain_type="test",
            cpu=CpuSpec(mode=""),
        )
        with connect(host.target) as conn:
            guests.define(conn, domain.build(spec))
            if running:
                guests.start(conn, str(vm.uuid))
        found = sync.refresh_vm(host, str(vm.uuid))
        assert found is not None
        Vm.objects.filter(pk=found.pk).update(owner=owner)
        found.refresh_from_db()
        return found

    return make


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in the test's own thread when it says so: no broker, no heartbeat."""
    for module in (waiting, work):
        monkeypatch.setattr(module, "dispatch", lambda job_ids, **options: None)
    monkeypatch.setattr(work, "_start_heart", lambda: None)


@pytest.fixture
def do(admin: User, here: None) -> Runner:
    """Enqueue an operation as a person would and run its job, and its parts, here."""

    def run(operation: Operation, *, user: User | None = None) -> Job:
        job = engine.enqueue(operation, user=user or admin)
        work.run(job.pk)
        for child in Job.objects.filter(parent=job, state="queued").order_by("pk"):
            work.run(child.pk)
        job.refresh_from_db()
        return job

    return run
