"""A VM with UEFI on real hosts: made, moved to and fro, live and off; its firmware's variables follow."""

import time
from collections.abc import Iterator

import pytest

from tests.clusterkit import Cluster

pytestmark = pytest.mark.lab
VARIABLES = "/var/lib/libvirt/qemu/nvram/mover-uefi_VARS.fd"
TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"


def digest(cluster: Cluster, host: str, path: str = VARIABLES) -> str:
    """Of a file on a host; "" if it is not there."""
    return cluster.lab.ssh(host, f"sha256sum {path} 2>/dev/null", check=False).partition(" ")[0]


@pytest.fixture
def vm(cluster: Cluster) -> Iterator[str]:
    """Its firmware has written its variables, and goes on no more: they are no longer those of the package."""
    uuid = cluster.create("mover-uefi", host="vmhost1", firmware="uefi")
    until = time.monotonic() + 120
    seen = [digest(cluster, "vmhost1", TEMPLATE)]
    while seen[-1] == seen[0] or len(seen) < 6 or seen[-1] != seen[-6]:  # the same for five looks
        assert time.monotonic() < until, "the firmware does not start, or does not come to rest"
        time.sleep(1)
        seen.append(digest(cluster, "vmhost1"))
    yield uuid
    cluster.remove(uuid)
    for host in ("vmhost1", "vmhost2"):
        assert digest(cluster, host) == ""


def test_variables_follow(cluster: Cluster, vm: str) -> None:
    assert cluster.vm(vm)["hardware"]["firmware"] == "uefi"
    assert "OVMF_CODE" in cluster.lab.ssh("vmhost1", f"virsh dumpxml {vm}")
    before = digest(cluster, "vmhost1")
    cluster.product.done(cluster.migrate(vm, "vmhost2"))
    assert cluster.where(vm) == {"vmhost2": "running"}
    assert digest(cluster, "vmhost2") == before
    assert digest(cluster, "vmhost1") == ""

    cluster.product.done(cluster.product.api("POST", f"/vms/{vm}/actions/force-off"))
    before = digest(cluster, "vmhost2")
    job = cluster.product.done(cluster.migrate(vm, "vmhost1", mode="offline"))
    assert digest(cluster, "vmhost1") == before
    assert digest(cluster, "vmhost2") == ""
    assert any(VARIABLES in command for command in job["commands"])
    cluster.product.done(cluster.product.api("POST", f"/vms/{vm}/actions/start"))
    assert cluster.where(vm) == {"vmhost1": "running"}
