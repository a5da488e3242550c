"""Redis or the database away for half a minute: pages answer or say so, jobs end truthfully, nothing is lost."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.clusterkit import Cluster
from tests.faults import truth
from tests.product import ApiError
from tests.webkit import WebPerson
from tests.wskit import WebSocket

pytestmark = pytest.mark.lab
AWAY_S = 30.0
PATIENCE_S = 40


@pytest.fixture
def person(cluster: Cluster) -> WebPerson:
    return WebPerson(cluster.product.url, timeout_s=PATIENCE_S).log_in()


@pytest.fixture
def vm(cluster: Cluster) -> Iterator[str]:
    uuid = cluster.create(f"away-{time.monotonic_ns() % 10**6}", host="vmhost1")
    yield uuid
    cluster.remove(uuid)


def check_truth(cluster: Cluster) -> None:
    truth.until_jobs_ended(cluster)
    truth.until_agreed(cluster)
    assert truth.orphans(cluster) == set()


def listen(cluster: Cluster, person: WebPerson, topic: str) -> WebSocket:
    cookie = f"drover_session={person.cookie('drover_session')}"
    socket = WebSocket(cluster.product.url, "/live", cookie=cookie, timeout_s=30)
    socket.send(json.dumps({"watch": [topic]}).encode())
    return socket


def hears(socket: WebSocket, topic: str) -> bool:
    """Whether it says that the topic changed before its time is over."""
    try:
        while json.loads(socket.recv()[1]).get("topic") != topic:
            continue
    except TimeoutError:
        return False
    return True


def test_redis_away(cluster: Cluster, person: WebPerson, vm: str) -> None:
    """Stopped, not killed: connections hang, which is worse than an answer of "refused"."""
    pid = cluster.product.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert person.get("/").status == 200
        assert person.get(f"/vms/{vm}/").status == 200
        asked = time.monotonic()
        job = cluster.product.api("POST", f"/vms/{vm}/actions/pause", timeout_s=PATIENCE_S)
        assert time.monotonic() - asked < 15, "a button waits for Redis"
        secret = cluster.wish("away-secret", host="vmhost1", user_data="#cloud-config\nhostname: x\n")
        with pytest.raises(ApiError) as refused:
            cluster.product.api("POST", "/vms/", secret, timeout_s=PATIENCE_S)
        assert refused.value.status == 409
        assert "Redis" in refused.value.body["detail"]
        assert person.get("/jobs/").status == 200
        time.sleep(max(0.0, AWAY_S - (time.monotonic() - began)))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert cluster.product.wait_job(job, within_s=45)["state"] == "succeeded"
    assert cluster.where(vm) == {"vmhost1": "paused"}
    socket = listen(cluster, person, f"vm.{vm}")
    cluster.product.api("POST", f"/vms/{vm}/actions/resume")
    assert hears(socket, f"vm.{vm}"), "a live socket is deaf afterwards"
    socket.close()
    check_truth(cluster)


def test_database_away(cluster: Cluster, person: WebPerson, vm: str) -> None:
    """Another process holds SQLite's write lock for half a minute, in the middle of a job."""
    moving = cluster.migrate(vm, "vmhost2", bandwidth_mib=10, auto_converge=False)
    time.sleep(1)
    file = cluster.product.var / "drover.sqlite3"
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert person.get("/vms/").status == 200  # WAL: reading goes on
        late = person.post(f"/vms/{vm}/act/pause", as_htmx=True)
        assert late.status in {204, 409, 503}, late.status  # taken or refused in time, or told why not
        if late.status == 503:
            assert "The database does not answer" in late.body
        time.sleep(max(0.0, AWAY_S - (time.monotonic() - began)))
        other.execute("ROLLBACK")
    assert cluster.product.wait_job(moving, within_s=90)["state"] == "succeeded"
    assert cluster.alive(vm) == ["vmhost2"]
    check_truth(cluster)
    assert cluster.product.done(cluster.product.api("POST", f"/vms/{vm}/actions/pause"))
