"""The hosts with a kernel of their own: NFS by the kernel, libvirt on it, guests that move without a shared trick."""

from collections.abc import Iterator

import pytest

from lab import cluster, config, faults, hosts
from lab.config import Lab
from tests.lab.conftest import spare
from tests.lab.tools import eventually, last_tick, on, start_tiny, state

pytestmark = pytest.mark.lab
POOL = """<pool type='netfs'><name>nfs</name>
<source><host name='full1'/><dir path='/srv/nfs'/><format type='nfs'/></source>
<target><path>/var/lib/libvirt/nfs</path></target></pool>
"""


@pytest.fixture(scope="module")
def full_lab() -> Iterator[Lab]:
    lab = spare("labfull", 94)
    with cluster.only_one(lab):
        cluster.down(lab)
        cluster.up(lab, with_full=True)
    yield lab
    with cluster.only_one(lab):
        cluster.down(lab)


def test_they_are_hosts_like_the_others(full_lab: Lab) -> None:
    for host in full_lab.kind(config.FULL):
        assert on(full_lab, host, "hostname").strip() == host.name
        assert on(full_lab, host, "systemctl is-system-running --wait || systemctl --failed").strip() == "running"
        assert "QEMU" in on(full_lab, host, "virsh version")


def test_large_transfers_get_through(full_lab: Lab) -> None:
    host = full_lab.host("full2")
    assert on(full_lab, host, "wc -c", text=b"x" * 20_000_000).strip() == "20000000"
    assert len(on(full_lab, host, "head -c 20000000 /dev/zero")) == 20_000_000


def test_a_guest_on_nfs_moves_live(full_lab: Lab) -> None:
    lab, full1, full2 = full_lab, full_lab.host("full1"), full_lab.host("full2")
    on(lab, full1, "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    on(lab, full1, "cat > /root/.ssh/known_hosts", text=(lab.dir / "known_hosts").read_text())
    on(lab, full2, "cat >> /root/.ssh/authorized_keys", text=on(lab, full1, "cat /root/.ssh/id_ed25519.pub"))
    for host in (full1, full2):
        on(lab, host, "cat > /root/pool.xml", text=POOL)
        on(lab, host, "virsh pool-define /root/pool.xml && virsh pool-build nfs && virsh pool-start nfs")
    files = {"meta-data": "instance-id: one\n", "user-data": "#cloud-config\nhostname: nfs1\nruncmd:\n  - tick\n"}
    start_tiny(lab, full1, "nfs1", files, folder="/var/lib/libvirt/nfs")
    eventually(lambda: last_tick(lab, full1, "nfs1") >= 1, 240, "ticks")
    on(lab, full1, "virsh migrate --live --p2p nfs1 qemu+ssh://full2/system", timeout_s=180)
    assert state(lab, full2, "nfs1") == "running"


def test_power_cut_and_back(full_lab: Lab) -> None:
    host = full_lab.host("full2")
    on(full_lab, host, "touch /root/stays; sync")
    faults.power_off(full_lab, host)
    assert not hosts.answers(full_lab.address(host))
    faults.power_on(full_lab, host)
    on(full_lab, host, "test -e /root/stays")


def test_a_frozen_full_host_goes_on(full_lab: Lab) -> None:
    host = full_lab.host("full2")
    faults.freeze(full_lab, host)
    assert not hosts.answers(full_lab.address(host))
    faults.thaw(full_lab, host)
    eventually(lambda: hosts.answers(full_lab.address(host)), 60, "full2 answers")
