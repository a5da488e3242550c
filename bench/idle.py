"""What a running Drover takes when nothing happens: memory and time of all its processes, with ten hosts."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from bench.scene import HOSTS, Scene
from bench.simulated import libvirtd, node_file
from bench.table import Result
from tests.product import Product

OTHERS = 7  # besides the lab's three
VMS = 5  # on each of them
SETTLE_S = 90  # what follows a start is over
LISTEN_S = 60
MEMORY_MB, SHARE = 450, 3.0
TICKS = os.sysconf("SC_CLK_TCK")


def idle(scene: Scene) -> list[Result]:
    product = scene.product("idle", adopt=True)
    with libvirtd(scene.folder / "simulated-libvirtd") as port:
        for number in range(OTHERS):
            node = node_file(scene.folder / f"idle-{number}.xml", VMS, f"{number + 1:04x}")
            add_simulated(product, f"simulated-{number}", port, node)
        _until_up(product)
        time.sleep(SETTLE_S)
        before = seconds_of(product)
        time.sleep(LISTEN_S)
        after, memory = seconds_of(product), memory_of(product)
        product.stop()
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    return [_memory_result(memory), _time_result(spent)]


def add_simulated(product: Product, name: str, port: int, node: Path) -> None:
    """A host of libvirt's test driver, which has no onboarding: its row is all there is to it."""
    values = {"name": name, "transport": "tcp", "address": "127.0.0.1", "port": port, "path": str(node)}
    product.manage("shell", "-c", f"from hosts.models import Host; Host.objects.create(**{values!r})")


def _until_up(product: Product, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while True:
        states = [host["state"] for host in product.api("GET", "/hosts/")]
        if states == ["up"] * (len(HOSTS) + OTHERS):
            return
        if time.monotonic() > until:
            raise AssertionError(f"hosts: {states}")
        time.sleep(0.5)


# --- processes -------------------------------------------------------------------------------------------------------


def processes(product: Product) -> dict[str, str]:
    """pid -> what it is: everything started for this product, also what has left its tree (shared ssh connections)."""
    everything = {folder.name: _look(folder) for folder in Path("/proc").iterdir() if folder.name.isdigit()}
    seen = {pid: one for pid, one in everything.items() if one is not None and one.words}
    folder = str(product.var).encode()
    mine = {pid for pid, one in seen.items() if folder in one.environment or folder in one.words}
    while more := {pid for pid, one in seen.items() if one.parent in mine} - mine:
        mine |= more
    return {pid: seen[pid].words.replace(b"\0", b" ").decode(errors="replace")[:70] for pid in mine}


class Process(NamedTuple):
    parent: str
    environment: bytes
    words: bytes


def _look(folder: Path) -> Process | None:
    """None if it has ended meanwhile."""
    try:
        parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        return Process(parent, (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes())
    except OSError:
        return None


def seconds_of(product: Product) -> dict[str, float]:
    """pid and what it is -> seconds of CPU it has used, with those of its children that have ended."""
    found = {}
    for pid, name in processes(product).items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        found[f"{pid} {name}"] = sum(int(fields[place]) for place in (11, 12, 13, 14)) / TICKS  # proc(5)
    return found


def memory_of(product: Product) -> dict[str, float]:
    """pid and what it is -> MB that are its own, and its part of what it shares (PSS)."""
    found = {}
    for pid, name in processes(product).items():
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        found[f"{pid} {name}"] = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6
    return found


def _memory_result(memory: dict[str, float]) -> Result:
    total = sum(memory.values())
    largest = sorted(memory.items(), key=lambda one: -one[1])
    return Result(
        "idle with 10 hosts: memory of all processes",
        f"<= {MEMORY_MB} MB",
        f"{total:.0f} MB",
        total <= MEMORY_MB,
        tuple(f"{size:6.1f} MB  {name.partition(' ')[2]}" for name, size in largest if size >= 1),
    )


def _time_result(spent: dict[str, float]) -> Result:
    total = 100 * sum(spent.values()) / LISTEN_S
    busiest = sorted(spent.items(), key=lambda one: -one[1])
    return Result(
        "idle with 10 hosts: time of one core",
        f"<= {SHARE:.0f} %",
        f"{total:.1f} %",
        total <= SHARE,
        tuple(f"{100 * took / LISTEN_S:6.2f} %  {name.partition(' ')[2]}" for name, took in busiest if took > 0),
    )
