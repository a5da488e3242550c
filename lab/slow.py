"""Slow cables: by the kernel's netem where it has it, otherwise by a token bucket (rate) and a program (delay)."""

import sys
from pathlib import Path

from lab import cgroups, network
from lab.config import FULL, Host, Lab
from lab.system import run, succeeds

WIRE = Path(__file__).resolve().parent / "wire.py"


def _ends(lab: Lab, host: Host) -> list[tuple[str, str]]:
    """Both ends of the host's cable, as namespace and interface: each delays what it sends."""
    return [(lab.switch, network.port(host)), (lab.netns(host), "p0" if host.kind == FULL else "eth0")]


def _wire_group(lab: Lab, host: Host) -> Path:
    return cgroups.lab_group(lab) / f"wire-{host.name}"


def slow_down(lab: Lab, host: Host, *, delay_ms: float, rate_mbit: float) -> None:
    """Delay every frame by `delay_ms` each way and let `rate_mbit` through (0: as much as comes)."""
    if all(_netem(end, delay_ms, rate_mbit) for end in _ends(lab, host)):
        return
    speed_up(lab, host)
    for namespace, device in _ends(lab, host):
        network.quieten(namespace, device)
        if rate_mbit:
            shape = ["tbf", "rate", f"{rate_mbit}mbit", "burst", f"{max(16, int(rate_mbit * 2))}kb", "latency", "200ms"]
            run(["tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", *shape])
    if delay_ms:
        _insert_wire(lab, host, delay_ms)


def speed_up(lab: Lab, host: Host) -> None:
    """The cable as it was; nothing to do is fine."""
    cgroups.kill(_wire_group(lab, host))
    if not network.has_port(lab, host):
        return
    if succeeds(["ip", "-n", lab.switch, "link", "show", f"w-{host.name}"]):
        run(["ip", "-n", lab.switch, "link", "del", f"w-{host.name}"])
        network.batch(lab.switch, f"link set {network.port(host)} master sw promisc off")
    for namespace, device in _ends(lab, host):
        succeeds(["tc", "-n", namespace, "qdisc", "del", "dev", device, "root"])
        if host.kind != FULL:
            network.loosen(namespace, device)


def _netem(end: tuple[str, str], delay_ms: float, rate_mbit: float) -> bool:
    """Let the kernel do it; False when it cannot."""
    namespace, device = end
    words = ["limit", "100000", "delay", f"{delay_ms}ms", *(["rate", f"{rate_mbit}mbit"] if rate_mbit else [])]
    return succeeds(["tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "netem", *words])


def _insert_wire(lab: Lab, host: Host, delay_ms: float) -> None:
    """Take the port out of the switch and put our program between the two."""
    port, outer, inner = network.port(host), f"w-{host.name}", f"x-{host.name}"
    network.batch(lab.switch, f"link add {outer} type veth peer name {inner}")
    for device in (outer, inner):
        network.quieten(lab.switch, device)
    network.batch(
        lab.switch,
        f"link set {port} nomaster promisc on",
        f"link set {outer} promisc on up",
        f"link set {inner} master sw up",
    )
    argv: list[str | Path] = [
        "nsenter",
        f"--net={network.NETNS / lab.switch}",
        sys.executable,
        "-S",
        WIRE,
        str(delay_ms),
        port,
        outer,
    ]
    cgroups.start_in(cgroups.make(_wire_group(lab, host)), argv, lab.dir / "wire.log")
