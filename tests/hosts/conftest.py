"""Hosts on libvirt's simulated driver, and jobs that run in the test's own thread."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from access.models import User
from hosts.models import Host
from hosts.states import HostState, Transport
from jobs import care, engine, work
from jobs.models import Job
from jobs.operations import Operation
from virt.connection import close_idle

Do = Callable[..., Job]
UUIDS = {"alpha": "5f8a1c50-0000-4000-8000-00000000000a", "beta": "5f8a1c50-0000-4000-8000-00000000000b"}
HOST_XML = """<node><cpu><active>8</active><mhz>2600</mhz><model>x86_64</model><nodes>1</nodes><sockets>1</sockets>
<cores>4</cores><threads>2</threads></cpu><memory>16777216</memory></node>"""


@pytest.fixture
def do(db: None, monkeypatch: pytest.MonkeyPatch) -> Do:
    """Enqueue an operation and run it, and its parts, to the end; the job as it is then."""

    monkeypatch.setattr(work, "_start_heart", lambda: None)

    def run(operation: Operation, user: User | None = None) -> Job:
        job = engine.enqueue(operation, user=user)
        work.run(job.pk)
        for part in job.children.all():
            work.run(part.pk)
        care.look_after()
        job.refresh_from_db()
        return job

    return run


@pytest.fixture
def simulated(tmp_path: Path, db: None) -> Iterator[Callable[..., Host]]:
    """Makes a host that is a libvirt of its own in this process: `test:///FILE`."""

    def make(name: str = "alpha", **more: Any) -> Host:
        path = tmp_path / f"{name}.xml"
        path.write_text(HOST_XML)
        given = {"transport": Transport.TEST, "path": str(path), "observed_state": HostState.UP, "arch": "x86_64"}
        return Host.objects.create(name=name, **{**given, **more})

    yield make
    close_idle(older_than_s=-1)


@pytest.fixture
def as_operator(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def as_lab_user(lab_user: User) -> Client:
    client = Client()
    client.force_login(lab_user)
    return client
