"""Hosts on libvirt's simulated driver, jobs that run in the test's own thread, a Redis of its own, pools in the lab."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from access.models import User
from hosts.models import Host
from hosts.states import HostState, Transport
from jobs import care, engine, waiting, work
from jobs.models import Job
from jobs.operations import Operation
from storage.models import Image, Pool
from storage.operations.pools import begin_pool
from tests.factories import make_pool
from tests.labkit import Lab
from virt import pools
from virt.connection import close_idle, connect
from virt.errors import VirtError

Do = Callable[..., Job]
NODE = """<node><cpu><active>8</active><mhz>2600</mhz><model>x86_64</model><nodes>1</nodes><sockets>1</sockets>
<cores>4</cores><threads>2</threads></cpu><memory>16777216</memory></node>"""


def finish(job: Job) -> Job:
    """Run a job and its parts to the end, here and now."""
    work.run(job.pk)
    for part in job.children.all():
        work.run(part.pk)
    care.look_after()
    job.refresh_from_db()
    return job


@pytest.fixture
def do(db: None, monkeypatch: pytest.MonkeyPatch) -> Do:
    """Enqueue an operation and run it to its end; the job as it is then. Nobody else is told of jobs."""
    for module in (waiting, work):
        monkeypatch.setattr(module, "dispatch", lambda ids, **_options: None)
    monkeypatch.setattr(work, "_start_heart", lambda: None)

    def run(operation: Operation, user: User | None = None) -> Job:
        return finish(engine.enqueue(operation, user=user))

    return run


@pytest.fixture
def simulated(tmp_path: Path, db: None) -> Iterator[Callable[..., Host]]:
    """Makes a host that is a libvirt of its own in this process: `test:///FILE`."""

    def make(name: str = "alpha", **more: Any) -> Host:
        path = tmp_path / f"{name}.xml"
        path.write_text(NODE)
        given = {"transport": Transport.TEST, "path": str(path), "observed_state": HostState.UP}
        return Host.objects.create(name=name, **{**given, **more})

    yield make
    close_idle(older_than_s=-1)


@pytest.fixture
def folder(simulated: Callable[..., Host], do: Do, admin: User) -> Pool:
    """A folder pool that is really defined on one simulated host."""
    job = begin_pool(admin, {"name": "disks", "kind": "dir", "target_path": "/srv/disks"}, [simulated()])
    assert finish(job).state == "succeeded"
    return Pool.objects.get(name="disks")


def make_image(pool: Pool, name: str = "debian-12", version: str = "1", **more: Any) -> Image:
    """An image that is ready, as a row."""
    volume = f"{name}-{version}.qcow2"
    given = {"volume_name": volume, "path": f"{pool.target_path}/{volume}", "format": "qcow2", "state": "ready"}
    return Image.objects.create(name=name, version=version, pool=pool, **{**given, **more})


@pytest.fixture
def image(db: None) -> Image:
    return make_image(make_pool("vms"))


@pytest.fixture
def queue(redis_socket: Path, settings: Any) -> "redis.Redis":
    """Redis as the product finds it, empty."""
    settings.REDIS_URL = f"unix://{redis_socket}"
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushall()
    return client


# --- the lab ---------------------------------------------------------------------------------------------------------


def forget_on_hosts(hosts: list[Host], name: str) -> None:
    """Stop and undefine a pool wherever it is, whatever state it is in."""
    for host in hosts:
        try:
            with connect(host.target) as conn:
                pools.stop(conn, name)
                pools.undefine(conn, name)
        except VirtError as problem:
            raise AssertionError(f"{host.name}: {problem.technical or problem}") from problem


@pytest.fixture
def lab_up(lab_hosts: list[Host]) -> list[Host]:
    """The lab's hosts, as watch would have found them."""
    Host.objects.update(observed_state=HostState.UP)
    return list(Host.objects.order_by("name"))


@pytest.fixture
def shared(lab: Lab, lab_up: list[Host], do: Do, admin: User) -> Iterator[Pool]:
    """A part of the lab's Gluster volume as a pool on all three hosts; its content goes with it."""
    name = "storagetest"
    part = f"{lab.facts['gluster']['volume']}/{name}"
    server = lab.facts["gluster"]["server"]
    mount = f"mkdir -p /mnt/whole && mount -t glusterfs {server}:/{lab.facts['gluster']['volume']} /mnt/whole"
    lab.ssh("vmhost1", f"{mount} && rm -rf /mnt/whole/{name} && mkdir /mnt/whole/{name} && umount /mnt/whole")
    fields = {
        "name": name,
        "kind": "glusterfs",
        "target_path": f"/var/lib/libvirt/{name}",
        "source": {"host": server, "path": part},
    }
    try:
        job = finish(begin_pool(admin, fields, lab_up))
        assert job.state == "succeeded", [(part.title, part.error, part.technical) for part in job.children.all()]
        yield Pool.objects.get(name=name)
    finally:
        forget_on_hosts(lab_up, name)


@pytest.fixture
def small(lab: Lab, lab_up: list[Host], do: Do, admin: User) -> Iterator[Pool]:
    """A folder pool with 8 MiB of room on vmhost1."""
    path = "/srv/small"
    lab.ssh("vmhost1", f"mkdir -p {path} && mountpoint -q {path} || mount -t tmpfs -o size=8m none {path}")
    try:
        job = finish(begin_pool(admin, {"name": "small", "kind": "dir", "target_path": path}, lab_up[:1]))
        assert job.state == "succeeded", job.children.get().error
        yield Pool.objects.get(name="small")
    finally:
        forget_on_hosts(lab_up[:1], "small")
        lab.ssh("vmhost1", f"umount -l {path}")
