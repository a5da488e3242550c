"""A second lab beside the one that people use: these tests cut, freeze and kill it as they like."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cluster, hosts
from lab.config import CONTAINER, Host, Lab
from tests.lab.tools import on
from tests.labkit import of_this_process

PROJECT = Path(__file__).resolve().parent.parent.parent
SHARED_IMAGES = Path(os.environ.get("LAB_IMAGES") or PROJECT / "var" / "lab" / "images")


def spare(name: str, octet: int) -> Lab:
    """A lab of these tests, on the project's disk: hosts' disks on a memory file system would not do."""
    name, subnet = of_this_process(name, octet)
    return Lab(name=name, subnet=subnet, var=PROJECT / "var" / "test-labs" / name, images=SHARED_IMAGES)


@pytest.fixture(scope="session")
def _spare_lab() -> Iterator[Lab]:
    lab = spare("labtest", 92)
    with cluster.only_one(lab):
        cluster.down(lab)
        cluster.up(lab)
    yield lab
    with cluster.only_one(lab):
        cluster.down(lab)
    shutil.rmtree(lab.var)


@pytest.fixture
def lab(_spare_lab: Lab) -> Lab:
    """The spare lab, whole: what an earlier test broke is healed."""
    with cluster.only_one(_spare_lab):
        cluster.heal(_spare_lab)
    return _spare_lab


@pytest.fixture
def vmhost1(lab: Lab) -> Host:
    return lab.host("vmhost1")


@pytest.fixture
def vmhost2(lab: Lab) -> Host:
    return lab.host("vmhost2")


@pytest.fixture(scope="session")
def trusting_lab(_spare_lab: Lab) -> Lab:
    """The spare lab with root of each VM host let in by the others, and the shared pool on all of them."""
    lab = _spare_lab
    vm_hosts = lab.kind(CONTAINER)
    known = (lab.dir / "known_hosts").read_text()
    for host in vm_hosts:
        on(lab, host, "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
        on(lab, host, "cat > /root/.ssh/known_hosts", text=known)
    keys = [on(lab, host, "cat /root/.ssh/id_ed25519.pub") for host in vm_hosts]
    for host in vm_hosts:
        on(lab, host, "cat >> /root/.ssh/authorized_keys", text="".join(keys))
        on(lab, host, "cat > /root/pool.xml", text=SHARED_POOL)
        on(lab, host, "virsh pool-define /root/pool.xml && virsh pool-build shared && virsh pool-start shared")
    assert all(hosts.answers(lab.address(host)) for host in vm_hosts)
    return lab


SHARED_POOL = """<pool type='netfs'><name>shared</name>
<source><host name='vmstorage'/><dir path='/vmstorage'/><format type='glusterfs'/></source>
<target><path>/var/lib/libvirt/shared</path></target></pool>
"""
