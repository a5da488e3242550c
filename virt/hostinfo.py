"""What changes all the time on a host: CPU and memory by libvirt, load, neighbours and file systems by one command.

What a host is and has is in `virt.survey`; it is asked much less often.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import libvirt

from virt import ssh
from virt.errors import Unsupported, translated
from virt.target import Target

SIMULATED = "TEST"  # virConnectGetType of libvirt's test driver
PROBE_S = 4  # how long a file system has to answer
# Reads only. The paths are its arguments, never part of it. Each file system is asked in a process of its own, and
# nobody waits for one that hangs: `cat` ends by itself, and with it the session.
PULSE = (
    r"""
export LC_ALL=C
read -r load _ < /proc/loadavg && echo "load $load"
read -r up _ < /proc/uptime && echo "uptime $up"
while read -r ip _ flags mac _; do
  [ "$flags" = 0x2 ] && echo "neighbour $mac $ip"
done < /proc/net/arp
for path; do
  { stat -f -c 'space %S %b %f %a %n' -- "$path" || echo "bad $path"; } 2>/dev/null </dev/null &
done | timeout """
    + str(PROBE_S)
    + r""" cat
exit 0
"""
)


@dataclass(frozen=True)
class NodeFigures:
    """CPU sums in ns since boot, read at `at` (time.monotonic); memory in bytes. None: the driver does not say."""

    at: float
    cpu_busy_ns: int | None = None
    cpu_all_ns: int | None = None
    memory_free_bytes: int | None = None  # with what caches could give back
    memory_all_bytes: int | None = None

    def free_of(self, memory_bytes: int) -> int | None:
        """Free memory of a host whose size is said to be memory_bytes: in a container the two sources differ."""
        if self.memory_free_bytes is None or self.memory_all_bytes is None or not memory_bytes:
            return self.memory_free_bytes
        return max(0, memory_bytes - (self.memory_all_bytes - self.memory_free_bytes))


@dataclass(frozen=True)
class Space:
    """Sizes of a file system in bytes; available is what is free for others than root."""

    capacity_bytes: int
    free_bytes: int
    available_bytes: int


@dataclass(frozen=True)
class Pulse:
    """neighbours: MAC -> addresses. spaces: path -> its file system, None if it answered that there is none.

    A path that was asked and is not in spaces did not answer in time.
    """

    load1: float | None = None
    uptime_s: float | None = None
    neighbours: dict[str, list[str]] = field(default_factory=dict)
    spaces: dict[str, Space | None] = field(default_factory=dict)


def node_figures(conn: "libvirt.virConnect") -> NodeFigures:
    """Two calls (a connection's first time three). Raises VirtError."""
    at = time.monotonic()
    busy = total = free = size = None
    try:
        with translated():
            cpu = conn.getCPUStats(libvirt.VIR_NODE_CPU_STATS_ALL_CPUS, 0)
        total = sum(cpu.values())
        busy = total - cpu.get("idle", 0) - cpu.get("iowait", 0)
    except Unsupported:
        pass  # a driver without it: the page says "unknown"
    with translated():
        if conn.getType() == SIMULATED:  # has no memory figures; the client remembers the answer
            free = conn.getFreeMemory()
        else:
            memory = conn.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
            free = sum(memory.get(name, 0) for name in ("free", "buffers", "cached")) * 1024
            size = memory.get("total", 0) * 1024
    return NodeFigures(at, busy, total, free, size)


def cpu_percent(before: NodeFigures | None, now: NodeFigures) -> float | None:
    """How busy all CPUs were between two readings, 0..100."""
    if before is None or before.cpu_all_ns is None or now.cpu_all_ns is None:
        return None
    if before.cpu_busy_ns is None or now.cpu_busy_ns is None or now.cpu_all_ns <= before.cpu_all_ns:
        return None
    share = (now.cpu_busy_ns - before.cpu_busy_ns) / (now.cpu_all_ns - before.cpu_all_ns)
    return round(100.0 * min(1.0, max(0.0, share)), 1)


def pulse(target: Target, paths: Sequence[str] = ()) -> Pulse:
    """Ask a host with SSH. Raises HostUnreachable, CommandFailed. Blocks for a few seconds if a path hangs."""
    output = ssh.run(target, ["sh", "-c", PULSE, "sh", *paths], timeout_s=PROBE_S * 3)
    return parse_pulse(output)


def files_in(target: Target, path: str) -> dict[str, tuple[int, int]]:
    """The files right in a folder: name -> size and room taken, in bytes. Names with line feeds are left out.

    Raises HostUnreachable, also if the folder hangs; CommandFailed. Blocks for a few seconds then.
    """
    find = ["find", path, "-maxdepth", "1", "-xtype", "f", "-printf", r"%s %b %f\n"]
    output = ssh.run(target, ["timeout", "-s", "KILL", str(PROBE_S), *find], timeout_s=PROBE_S * 2)
    found = {}
    for line in output.splitlines():
        size, blocks, name = (line.split(" ", 2) + ["", ""])[:3]
        if name and size.isdigit() and blocks.isdigit():
            found[name] = (int(size), int(blocks) * 512)
    return found


def parse_pulse(output: str) -> Pulse:
    load1 = uptime_s = None
    neighbours: dict[str, list[str]] = {}
    spaces: dict[str, Space | None] = {}
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        parts = rest.split(" ", 4)
        if word == "load":
            load1 = float(rest)
        elif word == "uptime":
            uptime_s = float(rest)
        elif word == "neighbour":
            neighbours.setdefault(parts[0].lower(), []).append(parts[1])
        elif word == "bad":
            spaces[rest] = None
        elif word == "space":
            block, total, free, available = (int(part) for part in parts[:4])
            spaces[parts[4]] = Space(block * total, block * free, block * available)
    return Pulse(load1, uptime_s, neighbours, spaces)
