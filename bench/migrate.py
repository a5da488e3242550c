"""Live migration, against `virsh migrate` of the same VM with the same options."""

import shlex
import time
from datetime import datetime
from statistics import median

from bench.scene import Scene
from bench.table import Result, spread
from tests.clusterkit import MIB, Cluster

ROUNDS = 8  # of each: half of them there, half of them back
RATIO = 1.03
MEMORY = 512 * MIB
BANDWIDTH_MIB = 48  # with this and what the guest keeps rewriting, one takes several seconds
USER_DATA = "#cloud-config\nruncmd:\n- dirty 288 12\n"
HOSTS = ("vmhost1", "vmhost2")


def migrate(scene: Scene) -> list[Result]:
    cluster = scene.cluster
    uuid = cluster.create("bench-migrate", host=HOSTS[0], user_data=USER_DATA, memory_bytes=MEMORY)
    try:
        time.sleep(20)  # booted, and the memory written once
        ours, theirs, command = _measure(scene, uuid)
    finally:
        cluster.remove(uuid)
    ratio = median(ours) / median(theirs)
    return [
        Result(
            "live migration, against virsh migrate of the same VM",
            f"<= {RATIO:.2f}x",
            f"{ratio:.3f}x",
            ratio <= RATIO,
            (f"Drover, job begun to job ended: {spread(ours)}", f"virsh: {spread(theirs)}", f"the command: {command}"),
        )
    ]


def _measure(scene: Scene, uuid: str) -> tuple[list[float], list[float], str]:
    """Drover there, virsh back, virsh there, Drover back, and again: each way is taken by both as often."""
    here, there = HOSTS
    ours: list[float] = []
    theirs: list[float] = []
    _took, command_there = _by_drover(scene.cluster, uuid, there)  # not counted: tells the commands
    _took, command_back = _by_drover(scene.cluster, uuid, here)
    for _number in range(ROUNDS // 2):
        ours.append(_by_drover(scene.cluster, uuid, there)[0])
        theirs.append(_by_virsh(scene, uuid, command_back, there, here))
        theirs.append(_by_virsh(scene, uuid, command_there, here, there))
        ours.append(_by_drover(scene.cluster, uuid, here)[0])
    return ours, theirs, command_there


def _by_drover(cluster: Cluster, uuid: str, destination: str) -> tuple[float, str]:
    """Seconds from the job's beginning to its end, and the same by hand as the job shows it."""
    job = cluster.product.done(cluster.migrate(uuid, destination, bandwidth_mib=BANDWIDTH_MIB))
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    command = next(one for one in job["commands"] if " migrate " in one)
    _until_seen(cluster, uuid, destination)
    return (ended - began).total_seconds(), command


def _by_virsh(scene: Scene, uuid: str, command: str, source: str, destination: str) -> float:
    """The shown command, run on the source as root would: its connection is the local one there."""
    words = shlex.split(command)
    del words[words.index("-c") : words.index("-c") + 2]
    began = time.monotonic()
    scene.on(source, shlex.join(words))
    took = time.monotonic() - began
    _until_seen(scene.cluster, uuid, destination)
    return took


def _until_seen(cluster: Cluster, uuid: str, host: str, within_s: float = 30) -> None:
    """Wait until Drover knows where the VM is, and a little longer: nothing of the last one shall be left."""
    until = time.monotonic() + within_s
    while cluster.vm(uuid)["host_id"] != cluster.host_id(host):
        if time.monotonic() > until:
            raise AssertionError(f"Drover does not see the VM on {host}")
        time.sleep(0.2)
    time.sleep(2)
