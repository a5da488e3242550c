"""From a change on a host to the changed row in an open browser."""

import random
import time
from statistics import median
from typing import TYPE_CHECKING

from bench.scene import Scene
from bench.table import Result, p95

if TYPE_CHECKING:
    from playwright.sync_api import Page

TIMES = 40
TARGET_MS = 300.0
# Notes what a VM's row says about its state, in the frame in which it is drawn. Clocks: the browser's and ours are one.
WATCH = """uuid => {
  window.benchSeen = [];
  let last = null;
  const look = () => {
    const text = document.querySelector(`#vm-${CSS.escape(uuid)} .vm-state`)?.textContent.trim();
    if (text && text !== last) {
      last = text;
      window.benchSeen.push([performance.timeOrigin + performance.now(), text]);
    }
    requestAnimationFrame(look);
  };
  look();
}"""
SEEN = "window.benchSeen.length"
NEXT = """before => new Promise((found, missed) => {
  setTimeout(() => missed(new Error("the row did not change")), 15000);
  const look = () => window.benchSeen.length > before ? found(window.benchSeen[before][0]) : setTimeout(look, 10);
  look();
})"""


def events(scene: Scene) -> list[Result]:
    cluster = scene.cluster
    uuid = cluster.create("bench-events", host="vmhost1")
    try:
        delays = _measure(scene, uuid)
    finally:
        cluster.remove(uuid)
    worst = p95(delays)
    return [
        Result(
            "libvirt event to changed row in the browser",
            f"p95 <= {TARGET_MS:.0f} ms",
            f"p95 {worst:.0f} ms",
            worst <= TARGET_MS,
            (
                f"{len(delays)} pauses and resumes by another libvirt client, from its call's return to the drawn row: "
                f"median {median(delays):.0f} ms, {min(delays):.0f} to {max(delays):.0f} ms",
            ),
        )
    ]


def _measure(scene: Scene, uuid: str) -> list[float]:
    domain = scene.libvirt("vmhost1").lookupByUUIDString(uuid)
    delays = []
    with scene.page() as page:
        page.goto(f"{scene.cluster.product.url}/vms/")
        page.wait_for_selector(f"#vm-{uuid}")
        page.evaluate(WATCH, uuid)
        page.wait_for_timeout(3000)  # the live socket is open, and creating the VM has been told
        for number in range(TIMES + 2):
            before = page.evaluate(SEEN)
            call = domain.resume if number % 2 else domain.suspend
            call()
            done_ms = time.time() * 1000
            delay = _seen_at(page, before) - done_ms
            if number >= 2:
                delays.append(delay)
            time.sleep(random.uniform(0.4, 1.6))
    return delays


def _seen_at(page: "Page", before: int) -> float:
    """When the next look differed, in milliseconds since 1970."""
    return float(page.evaluate(NEXT, before))
