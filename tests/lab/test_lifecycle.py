"""`up` may be killed at any moment and `down` still leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab import cgroups, cluster, network
from lab.config import Lab
from lab.errors import LabError
from tests.lab.conftest import PROJECT, spare

pytestmark = pytest.mark.lab


@pytest.fixture
def doomed() -> Iterator[Lab]:
    """A lab that is not up; whatever the test makes of it is gone afterwards."""
    lab = spare("doomed", 93)
    yield lab
    with cluster.only_one(lab):
        cluster.down(lab)
    assert traces(lab) == []


def start_up(lab: Lab) -> subprocess.Popen[bytes]:
    env = {**os.environ, "LAB_NAME": lab.name, "LAB_SUBNET": lab.subnet, "DROVER_VAR": str(lab.var)}
    env["LAB_IMAGES"] = str(lab.images)
    return subprocess.Popen([sys.executable, "-m", "lab", "up"], cwd=PROJECT, env=env, stdout=subprocess.DEVNULL)


def traces(lab: Lab) -> list[str]:
    """Everything on the machine that carries the lab's name or lies in its folder."""
    found = [f"namespace {path.name}" for path in Path("/run/netns").glob(f"{lab.name}-*")]
    found += [f"interface {path.name}" for path in Path("/sys/class/net").glob(f"*{lab.name}*")]
    found += [f"cgroup {path}" for path in cgroups.root().glob(f"{lab.name}*")]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            mounts = (process / "mountinfo").read_text()
        except (FileNotFoundError, ProcessLookupError, OSError):
            continue
        if int(process.name) != os.getpid() and any(str(lab.dir) in word for word in words):
            found.append(f"process {process.name} {words}")
        if str(lab.dir) in mounts:
            found.append(f"mount in the namespace of process {process.name}")
    found += [f"file {path}" for path in lab.dir.glob("*") if path.name not in cluster.KEPT]
    return found


@pytest.mark.parametrize("after_s", [0.2, 0.6, 1.0, 1.5, 2.5])
def test_down_after_a_kill_in_the_middle_of_up(doomed: Lab, after_s: float) -> None:
    starter = start_up(doomed)
    time.sleep(after_s)
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    with cluster.only_one(doomed):
        cluster.down(doomed)
    assert traces(doomed) == []


def test_up_after_a_kill_in_the_middle_of_up(doomed: Lab) -> None:
    starter = start_up(doomed)
    time.sleep(1)
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    with cluster.only_one(doomed):
        cluster.up(doomed)
    assert {row["state"] for row in cluster.status(doomed) if row["kind"] != "full"} == {"up"}


def test_hosts_outlive_their_starter(doomed: Lab) -> None:
    assert start_up(doomed).wait(timeout=120) == 0
    assert {row["state"] for row in cluster.status(doomed) if row["kind"] != "full"} == {"up"}


def test_down_when_half_of_it_is_gone(doomed: Lab) -> None:
    with cluster.only_one(doomed):
        cluster.up(doomed)
    assert traces(doomed)
    subprocess.run(["ip", "netns", "del", doomed.switch], check=True)
    cgroups.kill(cgroups.host_group(doomed, doomed.host("vmhost2")))
    doomed.state_file.unlink()
    with cluster.only_one(doomed):
        cluster.down(doomed)
    assert traces(doomed) == []


def test_a_dead_lab_in_the_way_is_removed(doomed: Lab) -> None:
    """Its folder is gone, its hosts are dead: a test run that was ended with everything it had started."""
    dead = Lab(name="dead", subnet=doomed.subnet, var=doomed.var, images=doomed.images)
    network.make_switch(dead)
    network.attach(dead, dead.host("vmhost1"))
    network.make_switch(doomed)
    assert [trace for trace in traces(dead) if not trace.startswith("file")] == []
    assert network.namespaces(doomed) == [doomed.switch]


def test_a_living_lab_in_the_way_is_left_alone(doomed: Lab) -> None:
    other = Lab(name="other", subnet=doomed.subnet, var=doomed.var, images=doomed.images)
    network.make_switch(other)
    living = subprocess.Popen(["ip", "netns", "exec", other.switch, "sleep", "60"])
    try:
        time.sleep(0.3)
        with pytest.raises(LabError, match="is used already"):
            network.make_switch(doomed)
        assert network.namespaces(other) == [other.switch]
    finally:
        living.kill()
        living.wait()
        subprocess.run(["ip", "netns", "del", other.switch], check=True)


def test_down_twice_is_fine(doomed: Lab) -> None:
    for _ in range(2):
        with cluster.only_one(doomed):
            cluster.down(doomed)
    assert traces(doomed) == []


def test_all_memory_together(lab: Lab) -> None:
    """Proportional memory of all processes of the lab: hosts of a laptop's lab must fit beside its work."""
    total = 0
    for pid in cgroups.pids(cgroups.lab_group(lab)):
        with suppress(ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    assert total < 1_000_000, f"{total} KiB"
