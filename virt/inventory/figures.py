"""Rates out of two readings of sums."""

from dataclasses import dataclass

from virt.inventory.domains import Counters


@dataclass(frozen=True)
class Figures:
    """cpu_percent is of all the VM's CPUs together, 0..100; the rest bytes and bytes a second. None: not known."""

    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    disk_read: float | None = None
    disk_write: float | None = None
    net_rx: float | None = None
    net_tx: float | None = None


def between(before: Counters | None, now: Counters) -> Figures:
    """What happened a second between two readings of one VM.

    Sums that went down belong to another start of the VM: then only what needs no difference is known.
    """
    if before is None or now.at <= before.at or (now.cpu_ns or 0) < (before.cpu_ns or 0):
        return Figures(memory_used_bytes=now.memory_used_bytes)
    seconds = now.at - before.at
    return Figures(
        cpu_percent=_cpu_percent(before, now, seconds),
        memory_used_bytes=now.memory_used_bytes,
        disk_read=_rate(before.disk_read_bytes, now.disk_read_bytes, seconds),
        disk_write=_rate(before.disk_write_bytes, now.disk_write_bytes, seconds),
        net_rx=_rate(before.net_rx_bytes, now.net_rx_bytes, seconds),
        net_tx=_rate(before.net_tx_bytes, now.net_tx_bytes, seconds),
    )


def _cpu_percent(before: Counters, now: Counters, seconds: float) -> float | None:
    if before.cpu_ns is None or now.cpu_ns is None:
        return None
    share = (now.cpu_ns - before.cpu_ns) / (seconds * 1e9 * max(1, now.vcpus or 1))
    return round(min(100.0, 100.0 * share), 1)


def _rate(before: int, now: int, seconds: float) -> float | None:
    """None when a sum went down: a disk or interface was taken away in between."""
    return (now - before) / seconds if now >= before else None
