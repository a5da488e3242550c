"""Whatever dies during a migration: the job says what happened, and the VM runs in exactly one place."""

import time
from collections.abc import Iterator

import pytest

from tests.clusterkit import BUSY, Cluster
from tests.faults.truth import samples_a_second
from virt.target import MIGRATION_KEY

pytestmark = pytest.mark.lab
SLOW = {"bandwidth_mib": 10, "auto_converge": False}
CALM = "#cloud-config\nruncmd:\n- dirty 32 2\n"


def _on_its_way(cluster: Cluster, user_data: str) -> tuple[str, dict]:
    """A VM on vmhost1 that has begun to move slowly to vmhost2."""
    uuid = cluster.create(f"mover-{time.monotonic_ns() % 10**6}", host="vmhost1", user_data=user_data)
    time.sleep(5)  # the guest boots and begins to write
    job = cluster.migrate(uuid, "vmhost2", **SLOW)
    cluster.until_moving(job)
    return uuid, job


def _tidy(cluster: Cluster, uuid: str, job: dict) -> None:
    cluster.lab.heal()
    cluster.product.wait_job(job)
    cluster.until_whole()
    cluster.remove(uuid)


@pytest.fixture
def moving(cluster: Cluster) -> Iterator[tuple[str, dict]]:
    """A migration that takes some seconds and then ends well."""
    uuid, job = _on_its_way(cluster, CALM)
    yield uuid, job
    _tidy(cluster, uuid, job)


@pytest.fixture
def endless(cluster: Cluster) -> Iterator[tuple[str, dict]]:
    """A migration that can't end by itself: the guest writes faster than may be sent."""
    uuid, job = _on_its_way(cluster, BUSY)
    yield uuid, job
    _tidy(cluster, uuid, job)


def test_it_works(cluster: Cluster) -> None:
    uuid = cluster.create("mover-plain", host="vmhost1")
    try:
        job = cluster.product.done(cluster.migrate(uuid, "vmhost2"))
        assert cluster.where(uuid) == {"vmhost2": "running"}
        assert cluster.vm(uuid)["host_id"] == cluster.host_id("vmhost2")
        assert job["result"]["downtime_ms"] is not None
        assert job["result"]["bytes_moved"] > 0
        assert any("virsh" in command and "--p2p" in command for command in job["commands"])
    finally:
        cluster.remove(uuid)


def test_cancel_leaves_it_running_at_its_source(cluster: Cluster, endless: tuple[str, dict]) -> None:
    uuid, job = endless
    cluster.product.api("POST", f"/jobs/{job['id']}/cancel")
    assert cluster.product.wait_job(job)["state"] == "cancelled"
    assert cluster.where(uuid) == {"vmhost1": "running"}


def test_time_limit_aborts(cluster: Cluster) -> None:
    uuid = cluster.create("mover-limit", host="vmhost1", user_data=BUSY)
    try:
        time.sleep(5)
        job = cluster.product.wait_job(cluster.migrate(uuid, "vmhost2", timeout_s=4, bandwidth_mib=5))
        assert job["state"] == "failed"
        assert "stays on vmhost1" in job["error"]
        assert cluster.where(uuid) == {"vmhost1": "running"}
    finally:
        cluster.remove(uuid)


def test_moved_by_hand_meanwhile(cluster: Cluster) -> None:
    uuid = cluster.create("mover-hand", host="vmhost1", user_data=BUSY)
    peer = f"qemu+ssh://root@{cluster.lab.address('vmhost2')}/system?keyfile={MIGRATION_KEY}&no_tty=1"
    move = f"virsh migrate --live --p2p --persistent --undefinesource --bandwidth 2 {uuid} '{peer}'"
    try:
        cluster.lab.ssh("vmhost1", f"nohup {move} > /root/by-hand.log 2>&1 &")
        until = time.monotonic() + 20
        while "Unbounded" not in cluster.lab.ssh("vmhost1", f"virsh domjobinfo {uuid}"):
            assert time.monotonic() < until, cluster.lab.ssh("vmhost1", "cat /root/by-hand.log")
            time.sleep(0.5)
        job = cluster.product.wait_job(cluster.migrate(uuid, "vmhost3"))
        assert job["state"] == "failed"
        assert "is being moved already" in job["error"]
        cluster.lab.ssh("vmhost1", f"virsh domjobabort {uuid}")
        assert cluster.where(uuid) == {"vmhost1": "running"}
    finally:
        cluster.remove(uuid)


def test_web_restarted(cluster: Cluster, moving: tuple[str, dict]) -> None:
    uuid, job = moving
    cluster.product.kill("web")
    time.sleep(4)
    assert cluster.product.wait_job(job)["state"] == "succeeded"
    assert cluster.where(uuid) == {"vmhost2": "running"}


def test_worker_killed(cluster: Cluster, moving: tuple[str, dict]) -> None:
    uuid, job = moving
    cluster.product.kill("work")
    ended = cluster.product.wait_job(job)
    assert len(cluster.alive(uuid)) == 1
    assert ended["state"] == "succeeded", ended
    assert cluster.alive(uuid) == ["vmhost2"]
    assert any("stopped in the middle" in line["text"] for line in ended["lines"])


def test_target_killed(cluster: Cluster, endless: tuple[str, dict]) -> None:
    uuid, job = endless
    cluster.lab.run("fault", "crash", "vmhost2")
    ended = cluster.product.wait_job(job, within_s=150)
    assert ended["state"] == "failed"
    assert "vmhost1" in ended["error"]
    assert cluster.where(uuid) == {"vmhost1": "running"}


def test_source_cut_off(cluster: Cluster, endless: tuple[str, dict]) -> None:
    uuid, job = endless
    cluster.lab.run("fault", "cut", "vmhost1")
    ended = cluster.product.wait_job(job, within_s=150)
    assert ended["state"] in {"failed", "succeeded"}
    assert "vmhost" in (ended["error"] or "vmhost")
    cluster.lab.heal()
    cluster.until_whole()
    deadline = time.monotonic() + 60
    while len(cluster.alive(uuid)) != 1 and time.monotonic() < deadline:
        time.sleep(1)
    assert len(cluster.alive(uuid)) == 1
    assert not cluster.vm(uuid)["is_duplicate"]


def test_network_breaks_during_post_copy(cluster: Cluster) -> None:
    """Part of the memory is on each host: said as it is, and the VM is nowhere taken for whole. It can be ended.

    QEMU's own connection may outlive the cut: then the rest follows as soon as the cable is back, and the VM is whole.
    """
    uuid = cluster.create("mover-torn", host="vmhost1", user_data=BUSY)
    time.sleep(8)
    cluster.lab.run("fault", "slow", "vmhost2", "--rate", "40")  # so that fetching the rest takes a while
    job = cluster.migrate(uuid, "vmhost2", post_copy=True, auto_converge=False)
    until = time.monotonic() + 90
    while not cluster.product.api("GET", f"/jobs/{job['id']}")["detail"].get("post_copy"):
        assert time.monotonic() < until
        time.sleep(0.1)
    cluster.lab.run("fault", "cut", "vmhost2")
    ended = cluster.product.wait_job(job, within_s=200)
    assert ended["state"] == "failed"
    assert "broke during post-copy" in ended["error"]
    assert "paused (post-copy" in cluster.lab.ssh("vmhost1", f"virsh domstate --reason {uuid}")
    cluster.lab.heal()
    cluster.until_whole()
    assert "running" not in cluster.where(uuid).get("vmhost1", "")
    for name in ("vmhost1", "vmhost2"):  # once one half is gone, the other may end by itself
        cluster.lab.ssh(name, f"virsh destroy {uuid}", check=False)
    assert cluster.alive(uuid) == []
    until = time.monotonic() + 60
    while cluster.vm(uuid)["state"] != "off":
        assert time.monotonic() < until, cluster.vm(uuid)
        time.sleep(1)
    cluster.remove(uuid)


@pytest.fixture
def local_pools(cluster: Cluster) -> Iterator[str]:
    """A folder pool of the same name on two hosts, each with its own content, as found by watch."""
    path = "/var/lib/libvirt/alone"
    for name in ("vmhost1", "vmhost2"):
        cluster.lab.ssh(
            name, f"virsh pool-define-as alone dir --target {path}; virsh pool-build alone; virsh pool-start alone"
        )
    until = time.monotonic() + 90
    while True:
        found = [pool for pool in cluster.product.api("GET", "/pools/") if pool["name"] == "alone"]
        if found and sum(cell["is_active"] for cell in found[0]["presences"]) == 2:
            break
        assert time.monotonic() < until, found
        time.sleep(1)
    yield path
    for name in ("vmhost1", "vmhost2"):
        cluster.lab.ssh(name, f"virsh pool-destroy alone; virsh pool-undefine alone; rm -rf {path}")


def test_disk_copy_leaves_nothing_behind(cluster: Cluster, local_pools: str) -> None:
    pool = next(pool["id"] for pool in cluster.product.api("GET", "/pools/") if pool["name"] == "alone")
    wish = {**cluster.wish("mover-copy", host="vmhost1"), "pool": pool}
    uuid = str(cluster.product.done(cluster.product.api("POST", "/vms/", wish))["target_key"])
    try:
        time.sleep(5)
        job = cluster.product.done(cluster.migrate(uuid, "vmhost2", mode="copy", bandwidth_mib=10))
        assert cluster.where(uuid) == {"vmhost2": "running"}
        assert samples_a_second(cluster, job) >= 2
        assert "mover-copy" not in cluster.lab.ssh("vmhost1", f"ls {local_pools}"), job["lines"]
        assert cluster.lab.ssh("vmhost2", f"ls {local_pools} | wc -l").strip() == "2"
        assert any("--copy-storage" in command for command in job["commands"])
    finally:
        cluster.remove(uuid)
