"""The way between two hosts breaks during post-copy, and the move goes on once it is mended."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clusterkit import Cluster

pytestmark = pytest.mark.lab
HOSTS = ("vmhost1", "vmhost2")
# Busy during the first pass, so that there is something left to fetch, and then calm: an emulated CPU that waits for
# memory may hold QEMU's lock, and QEMU then answers nobody.
ONCE_BUSY = "#cloud-config\nruncmd:\n- dirty 48 20 & sleep 22; kill $!\n"


def break_way(cluster: Cluster) -> None:
    """Only between these two, so that their storage stays: as a migration network of its own that breaks."""
    for name, other in (HOSTS, HOSTS[::-1]):
        peer = cluster.lab.address(other)
        cluster.lab.ssh(name, f"iptables -I INPUT -s {peer} -j DROP; iptables -I OUTPUT -d {peer} -j DROP")


def end_connection(cluster: Cluster) -> None:
    """As after a long break: the sender has given up, and what it says of that does not arrive."""
    cluster.lab.ssh("vmhost1", f"ss -K dst {cluster.lab.address('vmhost2')} dport ge :49152", check=False)


def mend_way(cluster: Cluster) -> None:
    for name in HOSTS:
        cluster.lab.ssh(name, "iptables -F INPUT; iptables -F OUTPUT")


def cpu_time(cluster: Cluster, uuid: str) -> int:
    told = cluster.lab.ssh("vmhost2", f"virsh domstats {uuid} --vcpu")
    return int(told.partition("vcpu.0.time=")[2].split()[0])


@pytest.fixture
def mover(cluster: Cluster) -> Iterator[tuple[str, dict[str, Any]]]:
    """A VM that runs on vmhost2 already while most of its memory is still on vmhost1."""
    uuid = cluster.create(f"torn-{time.monotonic_ns() % 10**6}", host="vmhost1", user_data=ONCE_BUSY)
    try:
        time.sleep(8)
        cluster.lab.run("fault", "slow", "vmhost2", "--rate", "40")  # so that fetching the rest takes a while
        job = cluster.migrate(uuid, "vmhost2", post_copy=True, auto_converge=False, bandwidth_mib=4)
        until = time.monotonic() + 90
        while not cluster.product.api("GET", f"/jobs/{job['id']}")["detail"].get("post_copy"):
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(4)  # what the guest needs all the time has arrived then
        yield uuid, job
    finally:
        mend_way(cluster)
        cluster.lab.heal()
        for name in HOSTS:
            cluster.lab.ssh(name, f"virsh destroy {uuid}", check=False)
        until = time.monotonic() + 60
        while cluster.vm(uuid)["state"] != "off":
            assert time.monotonic() < until, cluster.vm(uuid)
            time.sleep(0.5)
        cluster.remove(uuid)


def resumed(cluster: Cluster, uuid: str) -> dict[str, Any]:
    job: dict[str, Any] = cluster.product.done(
        cluster.product.api("POST", f"/vms/{uuid}/actions/resume-move"), within_s=180
    )
    assert cluster.where(uuid) == {"vmhost2": "running"}, "and nothing of it stays behind"
    vm = cluster.vm(uuid)
    assert (vm["state"], vm["host_id"], vm["is_duplicate"]) == ("running", cluster.host_id("vmhost2"), False)
    assert "yes" in cluster.lab.ssh("vmhost2", f"virsh dominfo {uuid} | grep Persistent")
    before, until = cpu_time(cluster, uuid), time.monotonic() + 10
    while cpu_time(cluster, uuid) == before:
        assert time.monotonic() < until, "the guest stands still"
        time.sleep(1)
    return job


def test_it_works(cluster: Cluster, mover: tuple[str, dict[str, Any]]) -> None:
    """The connection is gone and the receiver does not know it: it would wait for ever."""
    uuid, job = mover
    break_way(cluster)
    end_connection(cluster)
    ended = cluster.product.wait_job(job, within_s=200)
    assert ended["state"] == "failed"
    assert "Resume the move" in ended["error"]
    mend_way(cluster)
    told = resumed(cluster, uuid)
    assert any("--postcopy-resume" in command for command in told["commands"])
    assert any("domjobabort" in command for command in told["commands"])


def test_a_break_that_the_connection_outlives(cluster: Cluster, mover: tuple[str, dict[str, Any]]) -> None:
    """Nothing is to be connected anew: what is left to do is to remove the old definition."""
    uuid, job = mover
    break_way(cluster)
    ended = cluster.product.wait_job(job, within_s=200)
    assert ended["state"] == "failed", ended
    mend_way(cluster)
    resumed(cluster, uuid)
    back = cluster.product.done(cluster.migrate(uuid, "vmhost1"), within_s=180)
    assert back["result"]["moved"]
    cluster.product.done(cluster.migrate(uuid, "vmhost2"), within_s=180)
