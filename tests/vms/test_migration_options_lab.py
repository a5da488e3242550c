"""Every option of a migration, used for real: the VM moves with it, and libvirt and QEMU say that it took effect."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clusterkit import MIB, Cluster
from tests.faults.truth import samples_a_second
from tests.product import ApiError

pytestmark = pytest.mark.lab
# 32 MB rewritten at 15 MB/s: more than a slow migration sends, so it does not end by itself before an option acts.
LIVELY = "#cloud-config\nruncmd:\n- dirty 32 15\n"
LIMIT_MIB = 10
SLOW = {"bandwidth_mib": LIMIT_MIB, "auto_converge": False}
SLOWER = SLOW | {"bandwidth_mib": 4}  # less than the guest writes even on a busy machine
WRITES = 0.08  # of a CPU, at least, while it writes
HOSTS = ("vmhost1", "vmhost2")
OTHER_NETWORK = {"vmhost1": "172.31.85.1", "vmhost2": "172.31.85.2"}
CERTIFICATES = "/etc/pki/qemu"


class Traveller:
    """A VM that goes to and fro between two hosts, and what is seen of it on the way."""

    def __init__(self, cluster: Cluster, uuid: str) -> None:
        self.cluster, self.uuid = cluster, uuid
        self.job: dict[str, Any] = {}

    @property
    def here(self) -> str:
        (name,) = self.cluster.alive(self.uuid)
        return name

    @property
    def there(self) -> str:
        return HOSTS[1 - HOSTS.index(self.here)]

    def until_it_writes(self, within_s: float = 60) -> None:
        """After a move for which QEMU held it back, the guest needs a while to write as fast as it should."""
        until, here = time.monotonic() + within_s, self.here
        before = self._cpu_s(here)
        while True:
            time.sleep(3)
            now = self._cpu_s(here)
            if now - before > 3 * WRITES:
                return
            before = now
            assert time.monotonic() < until, "it does not write"

    def _cpu_s(self, host: str) -> float:
        told = self.cluster.lab.ssh(host, f"virsh domstats {self.uuid} --vcpu")
        return int(told.partition("vcpu.0.time=")[2].split()[0]) / 1e9

    def go(self, **options: Any) -> "Trip":
        """Begin to move to the other host; returns when memory is flowing."""
        here, there = self.here, self.there
        self.job = self.cluster.migrate(self.uuid, there, **options)
        self.cluster.until_moving(self.job, percent=1)
        return Trip(self, self.job, here, there)


class Trip:
    def __init__(self, traveller: Traveller, job: dict[str, Any], source: str, destination: str) -> None:
        self.traveller, self.cluster, self.job = traveller, traveller.cluster, job
        self.source, self.destination = source, destination

    def ask_qemu(self, command: str) -> Any:
        words = json.dumps({"execute": command})
        said = self.cluster.lab.ssh(self.source, f"virsh qemu-monitor-command {self.traveller.uuid} '{words}'")
        return json.loads(said)["return"]

    def parameters(self) -> dict[str, Any]:
        """QEMU's own settings of the migration that is under way."""
        return dict(self.ask_qemu("query-migrate-parameters"))

    def capabilities(self) -> set[str]:
        return {one["capability"] for one in self.ask_qemu("query-migrate-capabilities") if one["state"]}

    def arrives_at(self) -> set[str]:
        """Addresses of the destination on which QEMU's memory arrives from the network, in libvirt's ports for it."""
        out = self.cluster.lab.ssh(self.destination, "ss -Htn state established 'sport >= :49152 and sport <= :49215'")
        ends = {line.split()[2].rpartition(":")[0] for line in out.splitlines()}
        return {end.strip("[]").removeprefix("::ffff:") for end in ends}

    def ends(self) -> dict[str, Any]:
        """It must have moved, live, and told at least two samples a second on the way."""
        job = self.cluster.product.done(self.job)
        assert self.cluster.where(self.traveller.uuid) == {self.destination: "running"}
        assert samples_a_second(self.cluster, job) >= 2
        return job


@pytest.fixture(scope="module")
def guest(cluster: Cluster) -> Iterator[Traveller]:
    uuid = cluster.create("traveller", host="vmhost1", user_data=LIVELY)
    time.sleep(10)  # the guest boots and begins to write
    yield Traveller(cluster, uuid)
    cluster.remove(uuid)


@pytest.fixture
def traveller(guest: Traveller) -> Iterator[Traveller]:
    """Not on its way at the begin and the end of a test."""
    yield guest
    if guest.job:
        guest.cluster.product.wait_job(guest.job)


@pytest.fixture
def other_network(cluster: Cluster) -> Iterator[dict[str, str]]:
    """Host -> its address on a network of its own. A move must have ended before this one does."""
    for name, address in OTHER_NETWORK.items():
        cluster.lab.ssh(name, f"ip address replace {address}/24 dev br0")
    yield OTHER_NETWORK
    for name, address in OTHER_NETWORK.items():
        cluster.lab.ssh(name, f"ip address delete {address}/24 dev br0")


def test_speed_limit(traveller: Traveller) -> None:
    """Paused at the time limit, it ends, and runs there; never faster than the limit."""
    trip = traveller.go(**SLOW, timeout_s=8, on_timeout="pause")
    assert trip.parameters()["max-bandwidth"] == LIMIT_MIB * MIB
    assert trip.arrives_at() == {trip.cluster.lab.address(trip.destination)}
    result = trip.ends()["result"]
    assert result["bytes_moved"] <= LIMIT_MIB * MIB * result["total_ms"] / 1000 * 1.2
    assert result["compressed_pages"] is None
    assert (result["post_copy"], result["throttle_percent"]) == (False, 0)


def test_auto_converge(traveller: Traveller) -> None:
    """The guest writes faster than may be sent: QEMU slows it down until the rest fits."""
    trip = traveller.go(bandwidth_mib=LIMIT_MIB, auto_converge=True)
    assert "auto-converge" in trip.capabilities()
    assert trip.ends()["result"]["throttle_percent"] > 0


def test_compression(traveller: Traveller) -> None:
    """Pages that are sent again are sent as differences."""
    trip = traveller.go(bandwidth_mib=LIMIT_MIB, compression=True)
    assert "xbzrle" in trip.capabilities()
    assert trip.ends()["result"]["compressed_pages"] is not None


def test_post_copy(traveller: Traveller) -> None:
    """After one pass it runs there and fetches the rest, however fast it writes."""
    traveller.until_it_writes()
    trip = traveller.go(**SLOWER, post_copy=True)
    assert "postcopy-ram" in trip.capabilities()
    job = trip.ends()
    assert job["result"]["post_copy"] is True
    assert job["result"]["iterations"] <= 3
    assert any("--postcopy-after-precopy" in command for command in job["commands"])


def test_post_copy_at_the_time_limit(traveller: Traveller) -> None:
    trip = traveller.go(**SLOWER, timeout_s=4, on_timeout="post_copy")
    job = trip.ends()
    assert job["result"]["post_copy"] is True
    assert any("post-copy" in line["text"] for line in job["lines"])


def test_host_that_can_not_do_post_copy_says_so_first(traveller: Traveller) -> None:
    """As a kernel has it by default. The other host sees it differently: the file is covered on this one only."""
    cluster, there = traveller.cluster, traveller.there
    setting = "/proc/sys/vm/unprivileged_userfaultfd"
    cluster.lab.ssh(there, f"echo 0 > /run/zero && mount --bind /run/zero {setting}")
    try:
        job = cluster.product.wait_job(cluster.migrate(traveller.uuid, there, **SLOW, post_copy=True))
    finally:
        cluster.lab.ssh(there, f"umount {setting}")
    assert job["state"] == "failed"
    assert f"Post-copy to {there} is not possible" in job["error"]
    assert "sysctl -w vm.unprivileged_userfaultfd=1" in job["error"]
    assert not job["commands"]
    assert traveller.there == there


def test_tunnelled(traveller: Traveller) -> None:
    """All bytes go through SSH: nothing reaches QEMU from the network."""
    trip = traveller.go(bandwidth_mib=LIMIT_MIB, tunnelled=True)
    assert trip.arrives_at() == set()
    job = trip.ends()
    assert any("--tunnelled" in command for command in job["commands"])


def test_another_network(other_network: dict[str, str], traveller: Traveller) -> None:
    trip = traveller.go(bandwidth_mib=LIMIT_MIB, address=other_network[traveller.there])
    assert trip.arrives_at() == {other_network[trip.destination]}
    trip.ends()


@pytest.fixture
def no_certificates(cluster: Cluster) -> Iterator[None]:
    def remove() -> None:
        for name in (*HOSTS, "vmhost3"):
            cluster.lab.ssh(name, "rm -rf /etc/pki")
            cluster.product.done(cluster.product.api("POST", f"/hosts/{cluster.host_id(name)}/actions/refresh"))

    remove()
    yield
    remove()


def test_encrypted(no_certificates: None, traveller: Traveller) -> None:
    """Refused before the job begins while there are no certificates; then one operation makes them, and it works."""
    cluster, there = traveller.cluster, traveller.there
    with pytest.raises(ApiError, match="has no certificate for encrypted migration") as refused:
        cluster.migrate(traveller.uuid, there, tls=True)
    assert (refused.value.status, refused.value.body["field"]) == (409, "transport")
    assert "Set up encrypted migration" in refused.value.body["detail"]
    assert traveller.there == there

    made = cluster.product.done(cluster.product.api("POST", "/hosts/encryption"))
    assert sorted(made["result"]["hosts"]) == ["vmhost1", "vmhost2", "vmhost3"]
    assert any("openssl x509 -req" in command for command in made["commands"])
    for host in cluster.product.api("GET", "/hosts/"):
        assert timedelta(days=1090) < datetime.fromisoformat(host["certificate_until"]) - datetime.now(UTC)
    for name in HOSTS:
        kept = cluster.lab.ssh(name, f"stat -c '%U %a' {CERTIFICATES}/server-key.pem")
        assert kept.split() == ["libvirt-qemu", "440"]

    for more in ({}, {"post_copy": True}):
        trip = traveller.go(bandwidth_mib=LIMIT_MIB, tls=True, **more)
        settings = trip.parameters()
        assert settings["tls-creds"]
        assert settings["tls-hostname"] == cluster.lab.address(trip.destination)
        assert any("--tls" in command for command in trip.ends()["commands"])


def test_encrypted_on_another_network(
    no_certificates: None, other_network: dict[str, str], traveller: Traveller
) -> None:
    """The certificate is for the host's own name: that is what is checked, whichever address the traffic takes."""
    cluster = traveller.cluster
    cluster.product.done(cluster.product.api("POST", "/hosts/encryption"))
    trip = traveller.go(bandwidth_mib=LIMIT_MIB, tls=True, address=other_network[traveller.there])
    assert trip.parameters()["tls-hostname"] == cluster.lab.address(trip.destination)
    assert trip.arrives_at() == {other_network[trip.destination]}
    trip.ends()


def test_certificate_of_another_authority_is_refused_and_kept(no_certificates: None, traveller: Traveller) -> None:
    cluster, there = traveller.cluster, traveller.there
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=somebody -days 9"
    cluster.lab.ssh(
        there,
        f"mkdir -p {CERTIFICATES} && cd {CERTIFICATES}"
        f" && {words} -keyout server-key.pem -out server-cert.pem 2>/dev/null"
        " && cp server-cert.pem ca-cert.pem && chown libvirt-qemu *",
    )
    before = cluster.lab.ssh(there, f"cat {CERTIFICATES}/*.pem")
    cluster.product.done(cluster.product.api("POST", f"/hosts/{cluster.host_id(there)}/actions/refresh"))
    ends = cluster.product.api("GET", f"/hosts/{cluster.host_id(there)}")["certificate_until"]
    assert datetime.fromisoformat(ends) - datetime.now(UTC) < timedelta(days=9)
    made = cluster.product.wait_job(cluster.product.api("POST", "/hosts/encryption"))
    assert made["state"] == "failed"
    assert any("certificates of another authority" in line["text"] for line in made["lines"])
    assert cluster.lab.ssh(there, f"cat {CERTIFICATES}/*.pem") == before
    refused = cluster.product.wait_job(cluster.migrate(traveller.uuid, there, tls=True))  # only the hosts know this
    assert refused["state"] == "failed"
    assert f"does not accept the certificate of {there}" in refused["error"]
    assert traveller.there == there
