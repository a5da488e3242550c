"""A class of thirty tiny VMs, against the same VMs made one after the other by a script."""

import time
from typing import Any

from bench import domains
from bench.create import prepare
from bench.scene import HOSTS, Scene
from bench.table import Result
from tests.clusterkit import MIB, Cluster
from tests.product import PASSWORD

SEATS = 30
MEMORY = 96 * MIB
OFFER: dict[str, Any] = {
    "name": "Bench",
    "summary": "",
    "text": "",
    "position": 1,
    "image": "tiny",
    "network": "bridge:br0",
    "most_vms": 1,
    "vcpus": {"least": 1, "usual": 1, "most": 1},
    "memory_bytes": {"least": MEMORY, "usual": MEMORY, "most": MEMORY},
    "disk_bytes": {"least": 1024 * MIB, "usual": 1024 * MIB, "most": 1024 * MIB},
    "user_data": "",
    "fields_text": "",
    "approval": "always",
    "groups": [],
    "people": [],
}


def by_class(cluster: Cluster, connections: list[Any]) -> float:
    """Seconds from asking for the class until the domain of each seat runs."""
    product = cluster.product
    people = [f"seat{number:02}" for number in range(SEATS)]
    for name in people:
        product.api("POST", "/people", {"username": name, "role": "user", "password": PASSWORD})
    group = product.api("POST", "/groups", {"name": "Bench", "description": ""})["id"]
    product.api("POST", f"/groups/{group}/members", {"usernames": people})
    offer = product.api("POST", "/offers", {**OFFER, "pool": cluster.pool_id()})["id"]
    wish = {"group": group, "offer": offer, "version": 1, "name": "bench", "people": people, "start_snapshot": False}
    began = time.monotonic()
    made = product.api("POST", "/classes", wish)
    job = product.wait_job({"id": made["job"]}, within_s=600)
    if job["state"] != "succeeded":
        raise AssertionError(f"the class was not made: {job}")
    found = product.api("GET", f"/classes/{made['id']}")["seats"]
    took = max(_running(connections, seat["vm"]) for seat in found) - began
    for seat in found:
        cluster.remove(seat["vm"])
    return took


def _running(connections: list[Any], uuid: str) -> float:
    holder = next(one for one in connections if domains.state(one, uuid) is not None)
    return domains.wait_running(holder, uuid)


def one_by_one(scene: Scene, connection: Any) -> float:
    """The same number by qemu-img, genisoimage and virsh on one host, each begun when the one before it runs."""
    hand = prepare(scene, connection, memory_bytes=MEMORY)
    names = [f"bench-hand-{number:02}" for number in range(SEATS)]
    began = time.monotonic()
    for name in names:
        hand.create(name)
    took = time.monotonic() - began
    for name in names:
        hand.remove(name)
    return took


def classes(scene: Scene) -> list[Result]:
    connections = [scene.libvirt(name) for name in HOSTS]
    theirs = one_by_one(scene, connections[0])
    ours = by_class(scene.cluster, connections)
    return [
        Result(
            f"a class of {SEATS} VMs, against making them one after the other by a script",
            "shown",
            f"{ours / theirs:.2f}x",
            True,
            (f"Drover, request to the last running domain: {ours:.1f} s", f"by script on one host: {theirs:.1f} s"),
        )
    ]
