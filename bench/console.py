"""The console of a VM: how soon the first picture is there, and how much comes through."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from lxml import etree

from bench.definitions import need
from bench.rfb import Screen
from bench.scene import Scene
from bench.table import Result, spread
from bench.web import Stream, Visitor
from tests.product import free_port

HOST = "vmhost1"
FIRST = 9
FIRST_S = 1.0
ROUNDS = 6
EACH_S = 4.0
SHARE = 0.8
# resolves with the moment at which noVNC has drawn something into its canvas
DRAWN = """() => new Promise((done, failed) => {
  setTimeout(() => failed(new Error("no picture")), 20000);
  const look = () => {
    const canvas = document.querySelector("#console-screen canvas");
    const drawing = canvas && canvas.width > 0 && canvas.getContext("2d");
    const pixels = drawing && drawing.getImageData(0, 0, canvas.width, canvas.height).data;
    const is_drawn = pixels && pixels.some((value, place) => place % 4 !== 3 && value > 40);
    return is_drawn ? done(performance.now()) : requestAnimationFrame(look);
  };
  look();
})"""


def console(scene: Scene) -> list[Result]:
    cluster = scene.cluster
    uuid = cluster.create("bench-console", host=HOST)
    try:
        time.sleep(5)  # the guest has booted and its screen rests
        visitor = Visitor(cluster.product)
        firsts = [_first_picture(visitor, uuid) for _number in range(FIRST)]
        in_browser = [_first_in_browser(scene, uuid) for _number in range(3)]
        through, direct = _throughput(scene, visitor, uuid)
    finally:
        cluster.remove(uuid)
    return [_first_result(firsts, in_browser), _through_result(through, direct)]


def _first_picture(visitor: Visitor, uuid: str) -> float:
    began = time.monotonic()
    console = visitor.console(uuid)
    try:
        Screen(console.read, console.write).picture()
        return time.monotonic() - began
    finally:
        console.close()


def _first_in_browser(scene: Scene, uuid: str) -> float:
    """Seconds from the address being asked for to something drawn: the page, its scripts and noVNC are in it."""
    with scene.page() as page:
        page.goto(f"{scene.cluster.product.url}/vms/{uuid}/console", wait_until="commit")
        return float(page.evaluate(DRAWN)) / 1000


def _first_result(firsts: list[float], in_browser: list[float]) -> Result:
    worst = max(firsts)
    return Result(
        "console: first picture",
        f"<= {FIRST_S:.1f} s",
        f"{worst:.2f} s",
        worst <= FIRST_S,
        (
            f"from asking for a ticket to a whole picture, the slowest counts: {spread(firsts)}",
            f"in the browser, from opening the page: {spread(in_browser)}",
        ),
    )


# --- throughput ------------------------------------------------------------------------------------------------------


@contextmanager
def _forwarded(scene: Scene, uuid: str) -> Iterator[Stream]:
    """A plain TCP connection to the VM's VNC server through `ssh -L`."""
    xml = scene.libvirt(HOST).lookupByUUIDString(uuid).XMLDesc(0)
    there = need(etree.fromstring(xml), "devices/graphics[@type='vnc']").get("port")
    here = free_port()
    forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{here}:127.0.0.1:{there}"]
    tunnel = subprocess.Popen([*scene.ssh(HOST, shared=False), *forward])
    try:
        stream = Stream(_connected(here))
        yield stream
        stream.close()
    finally:
        tunnel.terminate()
        tunnel.wait(10)


def _connected(port: int, within_s: float = 10) -> socket.socket:
    until = time.monotonic() + within_s
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _rate(screen: Screen) -> float:
    """MB of pixels a second, asking for whole pictures one after the other."""
    screen.picture()
    began, pixels = time.monotonic(), 0
    while time.monotonic() - began < EACH_S:
        pixels += screen.picture()
    return pixels / (time.monotonic() - began) / 1e6


def _throughput(scene: Scene, visitor: Visitor, uuid: str) -> tuple[list[float], list[float]]:
    """In turn: through Drover, and past it."""
    through, direct = [], []
    for _number in range(ROUNDS):
        console = visitor.console(uuid)
        try:
            through.append(_rate(Screen(console.read, console.write)))
        finally:
            console.close()
        with _forwarded(scene, uuid) as stream:
            direct.append(_rate(Screen(stream.read, stream.write)))
    return through, direct


def _through_result(through: list[float], direct: list[float]) -> Result:
    share = median(through) / median(direct)
    return Result(
        "console: throughput, against direct TCP through SSH",
        f">= {SHARE:.1f}x",
        f"{share:.2f}x",
        share >= SHARE,
        (f"through Drover: {spread(through, 'MB/s')}", f"ssh -L to the VNC server: {spread(direct, 'MB/s')}"),
    )
