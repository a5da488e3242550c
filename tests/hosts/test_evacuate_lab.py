"""Evacuation of a real host with running VMs, by the whole product."""

import time

import pytest

from tests.clusterkit import Cluster

pytestmark = pytest.mark.lab


def test_it_works(cluster: Cluster) -> None:
    """Three VMs leave vmhost1 live in one job with a part each; nothing runs twice; then it takes VMs again."""
    product, host = cluster.product, cluster.host_id("vmhost1")
    uuids = [cluster.create(f"leaver-{number}", host="vmhost1") for number in range(3)]
    try:
        job = product.wait_job(product.api("POST", f"/hosts/{host}/evacuate"))
        assert job["state"] == "succeeded", job
        assert job["result"]["moved"] == 3
        for uuid in uuids:
            where = cluster.where(uuid)
            assert list(where.values()) == ["running"], where
            assert "vmhost1" not in where
        assert product.api("GET", f"/hosts/{host}")["maintenance"] is True
        with pytest.raises(AssertionError, match="maintenance"):
            cluster.create("refused", host="vmhost1")
    finally:
        product.wait_job(product.api("POST", f"/hosts/{host}/maintenance", {"on": False}))
        for uuid in uuids:
            cluster.remove(uuid)


def test_cancel_leaves_every_vm_running_somewhere_once(cluster: Cluster) -> None:
    product, host = cluster.product, cluster.host_id("vmhost1")
    uuids = [cluster.create(f"stayer-{number}", host="vmhost1") for number in range(4)]
    try:
        job = product.api("POST", f"/hosts/{host}/evacuate")
        time.sleep(1.5)
        product.api("POST", f"/jobs/{job['id']}/cancel")
        assert product.wait_job(job)["state"] in {"cancelled", "succeeded"}
        for uuid in uuids:
            assert len(cluster.alive(uuid)) == 1, cluster.where(uuid)
    finally:
        product.wait_job(product.api("POST", f"/hosts/{host}/maintenance", {"on": False}))
        for uuid in uuids:
            cluster.remove(uuid)
