"""One sick host is one sick host (law 2): down, hung, slow, with another key, with another's UUID. And law 4."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.clusterkit import Cluster
from tests.faults import truth
from tests.product import ApiError
from tests.webkit import WebPerson

pytestmark = pytest.mark.lab
NOTICED_S = 75
QUICK_S = 3.0
HEALTHY = ("vmhost1", "vmhost3")
SICK = "vmhost2"


def hosts(cluster: Cluster) -> dict[str, dict[str, Any]]:
    return {host["name"]: host for host in cluster.product.api("GET", "/hosts/")}


def until(what: Callable[[], Any], within_s: float = NOTICED_S) -> Any:
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.5)
    return found


def sick(cluster: Cluster) -> dict[str, Any] | None:
    """The sick host's row as soon as Drover has noticed."""
    found = hosts(cluster)[SICK]
    return found if found["state"] != "up" else None


@pytest.fixture
def healed(cluster: Cluster) -> Iterator[Cluster]:
    yield cluster
    cluster.lab.heal()
    until(lambda: all(host["state"] == "up" for host in hosts(cluster).values()), 120)


@pytest.fixture
def person(cluster: Cluster) -> WebPerson:
    return WebPerson(cluster.product.url).log_in()


def on_vmhost1(cluster: Cluster, uuid: str) -> str:
    """What that host itself says; the sick one is not asked, for virsh there may hang."""
    return cluster.lab.ssh("vmhost1", f"virsh domstate {uuid}").strip()


def check_the_rest(cluster: Cluster, person: WebPerson) -> None:
    """The others are up, pages are quick, and a VM on another host starts and goes."""
    assert all(hosts(cluster)[name]["state"] == "up" for name in HEALTHY)
    for page in ("/", "/hosts/", "/vms/", f"/hosts/{cluster.host_id(SICK)}/", "/storage/"):
        began = time.monotonic()
        assert person.get(page).status == 200
        assert time.monotonic() - began < QUICK_S, page
    name = f"well-{time.monotonic_ns() % 10**6}"
    uuid = cluster.create(name, host="vmhost1")
    assert on_vmhost1(cluster, uuid) == "running"
    cluster.product.done(cluster.product.api("POST", f"/vms/{uuid}/actions/force-off"))
    if hosts(cluster)[SICK]["state"] == "up":
        cluster.remove(uuid)
        return
    check_law_4(cluster, person, uuid)


def check_law_4(cluster: Cluster, person: WebPerson, uuid: str) -> None:
    """The sick host has the same pool: it might run the VM, and can't be asked. A person's word is needed."""
    job = cluster.product.wait_job(cluster.product.api("POST", f"/vms/{uuid}/actions/start"))
    assert job["state"] == "failed"
    assert SICK in job["error"]
    assert on_vmhost1(cluster, uuid) == "shut off"
    pk, name = cluster.host_id(SICK), cluster.vm(uuid)["name"]
    wrong = person.post(f"/vms/{uuid}/start-anyway", {"typed": name})
    assert wrong.status == 422, "started without naming the silent host"
    sure = person.post(f"/vms/{uuid}/start-anyway", {"hosts": [pk], "typed": name})
    assert sure.status == 302, sure.body[-2000:]
    cluster.product.done(int(sure.headers["Location"].strip("/").split("/")[-1]))
    assert on_vmhost1(cluster, uuid) == "running"
    cluster.remove(uuid)


def test_down(healed: Cluster, person: WebPerson) -> None:
    healed.lab.run("fault", "cut", SICK)
    found = until(lambda: sick(healed))
    assert found["state"] == "unreachable"
    assert found["last_error"]
    check_the_rest(healed, person)


def test_hung_libvirtd(healed: Cluster, person: WebPerson) -> None:
    """It accepts connections and never answers."""
    healed.lab.run("fault", "libvirtd", "stop", SICK)
    found = until(lambda: sick(healed))
    assert "Traceback" not in found["last_error"]
    check_the_rest(healed, person)
    with pytest.raises(ApiError) as refused:
        healed.product.api("POST", "/vms/", healed.wish("never", host=SICK))
    assert refused.value.status == 409
    assert SICK in refused.value.body["detail"]


def test_slow(healed: Cluster, person: WebPerson) -> None:
    """A quarter of a second each way: slower, but up, and nothing else suffers."""
    healed.lab.run("fault", "slow", SICK, "--delay", "250")
    time.sleep(15)
    check_the_rest(healed, person)
    assert hosts(healed)[SICK]["state"] == "up"


def test_another_host_key(healed: Cluster, person: WebPerson) -> None:
    """A pinned key that changed is no mere silence: the page says so, and nobody is connected."""
    healed.lab.ssh(SICK, "rm -rf /root/keys && mkdir /root/keys && cp -a /etc/ssh/ssh_host_* /root/keys/")
    healed.lab.ssh(SICK, "rm -f /etc/ssh/ssh_host_* && ssh-keygen -A && systemctl restart ssh")
    try:
        healed.lab.run("fault", "cut", SICK)  # the connections of before end
        until(lambda: sick(healed))
        time.sleep(15)
        healed.lab.run("fault", "heal", SICK)
        until(lambda: "key" in hosts(healed)[SICK]["last_error"].lower())
        found = until(lambda: sick(healed))
        assert "key" in found["last_error"].lower(), found["last_error"]
        assert all(hosts(healed)[name]["state"] == "up" for name in HEALTHY)
        assert "key" in person.get(f"/hosts/{found['id']}/").body
    finally:
        healed.lab.ssh(
            SICK, "rm -f /etc/ssh/ssh_host_* && cp -a /root/keys/ssh_host_* /etc/ssh/ && systemctl restart ssh"
        )
    until(lambda: hosts(healed)[SICK]["state"] == "up")


def test_libvirtd_restarted_in_the_middle_of_a_create(healed: Cluster) -> None:
    for delay in (0.15, 0.4, 0.8):
        name = f"torn-{time.monotonic_ns() % 10**6}"
        job = healed.product.api("POST", "/vms/", healed.wish(name, host=SICK))
        time.sleep(delay)
        healed.lab.run("fault", "libvirtd", "restart", SICK)
        ended = healed.product.wait_job(job, within_s=60)
        assert ended["state"] in {"succeeded", "failed"}, ended
        if ended["state"] == "succeeded":
            assert healed.where(ended["target_key"]) == {SICK: "running"}
            healed.remove(ended["target_key"])
        else:
            assert ended["error"]
        until(lambda: hosts(healed)[SICK]["state"] == "up")
        truth.until_jobs_ended(healed)
        truth.until_agreed(healed)
        assert truth.orphans(healed) == set(), delay
