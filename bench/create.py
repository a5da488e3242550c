"""Creating a VM from an image, against the same steps typed into a shell."""

import shlex
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lxml import etree

from bench import domains
from bench.definitions import need
from bench.scene import Scene
from bench.table import Result, spread
from tests.clusterkit import POOL, Cluster

ROUNDS = 9
RATIO = 1.15
HOST = "vmhost1"
USER_DATA = "#cloud-config\nhostname: {name}\n"


@dataclass
class ByHand:
    """What a person would have ready: the image's path, the pool's folder, a definition to change the names in."""

    scene: Scene
    connection: Any
    folder: str
    image: str
    definition: str

    def create(self, name: str) -> tuple[str, float]:
        """The domain's UUID and the seconds from the first command to the running domain."""
        identity = str(uuid.uuid4())
        disk, seed = f"{self.folder}/{name}.qcow2", f"{self.folder}/{name}-seed.iso"
        xml = self._renamed(name, identity, disk, seed)
        work = self.scene.folder / name
        began = time.monotonic()
        iso = _seed(work, name)
        make = f"cat > {shlex.quote(seed)} && qemu-img create -q -f qcow2 -F qcow2 -b {self.image} {disk}"
        self.scene.on(HOST, make, iso)
        self.scene.on(HOST, f"virsh -q define /dev/stdin && virsh -q start {name}", xml.encode())
        return identity, domains.wait_running(self.connection, identity) - began

    def _renamed(self, name: str, identity: str, disk: str, seed: str) -> str:
        root = etree.fromstring(self.definition)
        need(root, "name").text, need(root, "uuid").text = name, identity
        for interface in root.iterfind("devices/interface"):
            interface.remove(need(interface, "mac"))
        for one in root.iterfind("devices/disk"):
            need(one, "source").set("file", seed if one.get("device") == "cdrom" else disk)
        for note in root.findall("metadata"):
            root.remove(note)
        return etree.tostring(root, encoding="unicode")

    def remove(self, name: str) -> None:
        files = f"{self.folder}/{name}.qcow2 {self.folder}/{name}-seed.iso"
        self.scene.on(HOST, f"virsh -q destroy {name}; virsh -q undefine {name}; rm -f {files}")


def _seed(folder: Path, name: str) -> bytes:
    folder.mkdir()
    (folder / "meta-data").write_text(f"instance-id: {uuid.uuid4()}\nlocal-hostname: {name}\n")
    (folder / "user-data").write_text(USER_DATA.format(name=name))
    files = [str(folder / "meta-data"), str(folder / "user-data")]
    argv = ["genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", *files]
    return subprocess.run(argv, capture_output=True, check=True).stdout


def by_drover(cluster: Cluster, connection: Any, name: str, **more: Any) -> tuple[str, float]:
    """The domain's UUID and the seconds from asking for it to the running domain."""
    wish = cluster.wish(name, host=HOST, user_data=USER_DATA.format(name=name), **more)
    began = time.monotonic()
    job = cluster.product.api("POST", "/vms/", wish)
    took = domains.wait_running(connection, str(job["target_key"])) - began
    cluster.product.done(job)
    return str(job["target_key"]), took


def prepare(scene: Scene, connection: Any, **more: Any) -> ByHand:
    """Learn the paths and a definition from a VM that Drover made: both then make the same kind of VM."""
    cluster = scene.cluster
    made, _took = by_drover(cluster, connection, "bench-sample", **more)
    definition = domains.definition(connection, made)
    disks = cluster.vm(made)["hardware"]["disks"]
    cluster.remove(made)
    folder = connection.storagePoolLookupByName(POOL).XMLDesc(0)
    path = etree.fromstring(folder).findtext("target/path") or ""
    backing = next(disk["backing"][0] for disk in disks if disk["backing"])
    return ByHand(scene, connection, path, backing, definition)


def create(scene: Scene) -> list[Result]:
    connection = scene.libvirt(HOST)
    hand = prepare(scene, connection)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(ROUNDS):
        for own in (True, False) if number % 2 else (False, True):
            name = f"bench-{number}-{'drover' if own else 'hand'}"
            if own:
                made, took = by_drover(scene.cluster, connection, name)
                ours.append(took)
                scene.cluster.remove(made)
            else:
                theirs.append(hand.create(name)[1])
                hand.remove(name)
    ratio = median(ours) / median(theirs)
    return [
        Result(
            "create a VM from an image, against qemu-img, genisoimage and virsh",
            f"<= {RATIO:.2f}x",
            f"{ratio:.2f}x",
            ratio <= RATIO,
            (f"Drover, request to running domain: {spread(ours)}", f"by hand: {spread(theirs)}"),
        )
    ]
