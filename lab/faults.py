"""Things that go wrong, on demand: networks, hosts, daemons, storage. All may be repeated; `heal` undoes them all."""

import os
import signal
from pathlib import Path

from lab import cgroups, hosts, network, slow, storage
from lab.config import FULL, STORAGE, Host, Lab
from lab.errors import LabError
from lab.system import succeeds, wait_until

LIBVIRT_DAEMONS = ("libvirtd", "virtqemud")


def cut(lab: Lab, host: Host) -> None:
    """Pull the host's network cable; it and its guests run on alone."""
    _must_be_on(lab, host)
    network.unplug(lab, host)


def slow_down(lab: Lab, host: Host, *, delay_ms: float, rate_mbit: float) -> None:
    """Make the host's cable slow: milliseconds more each way, megabits a second at most (0: no limit)."""
    _must_be_on(lab, host)
    slow.slow_down(lab, host, delay_ms=delay_ms, rate_mbit=rate_mbit)


def freeze(lab: Lab, host: Host) -> None:
    """Stop the host with all its guests where it stands, as a machine that hangs; its network is silent."""
    _must_be_on(lab, host)
    cgroups.freeze(cgroups.host_group(lab, host), frozen=True)


def thaw(lab: Lab, host: Host) -> None:
    """Let a frozen host go on."""
    cgroups.freeze(cgroups.host_group(lab, host), frozen=False)


def libvirtd(lab: Lab, host: Host, what: str) -> None:
    """Stop (hang), continue, kill or restart the host's libvirtd; its guests run on."""
    _must_be_on(lab, host)
    if host.kind == STORAGE:
        raise LabError(f"{host.name} has no libvirtd")
    if what == "restart":
        _signal_libvirtd(lab, host, signal.SIGCONT)
        hosts.execute(lab, host, ["systemctl", "restart", "libvirtd.service"])
        return
    if what == "stop":
        hosts.execute(lab, host, ["systemctl", "start", "libvirtd.service"])
    _signal_libvirtd(lab, host, {"stop": signal.SIGSTOP, "cont": signal.SIGCONT, "kill": signal.SIGKILL}[what])


def power_off(lab: Lab, host: Host) -> None:
    """Cut the host's power; it stays off until `power_on`."""
    slow.speed_up(lab, host)
    hosts.power_off(lab, host)


def power_on(lab: Lab, host: Host) -> None:
    """Boot the host, if it is off, and wait until it answers; its storage comes back with it."""
    if not hosts.is_made(lab, host):
        raise LabError(f"{host.name} does not exist yet: python3 -m lab up" + (" --full" if host.kind == FULL else ""))
    hosts.start(lab, host)
    if cgroups.is_frozen(cgroups.host_group(lab, host)) or not network.is_plugged(lab, host):
        return
    hosts.wait_booted(lab, host)
    if host.kind == STORAGE:
        storage.make_volume(lab)


def storage_hang(lab: Lab) -> None:
    """The shared storage stops answering, with its connections open."""
    _signal(storage_pids(lab), signal.SIGSTOP)


def storage_resume(lab: Lab) -> None:
    """The shared storage answers again."""
    _signal(storage_pids(lab), signal.SIGCONT)


def heal(lab: Lab, host: Host) -> None:
    """Undo every fault of this host, the power included."""
    thaw(lab, host)
    slow.speed_up(lab, host)
    network.plug(lab, host)
    if hosts.is_made(lab, host):
        power_on(lab, host)
        if host.kind == STORAGE:
            storage_resume(lab)
        else:
            _signal_libvirtd(lab, host, signal.SIGCONT)


def storage_pids(lab: Lab) -> list[int]:
    """The processes that serve the volume's data."""
    (host,) = lab.kind(STORAGE)
    return _pids_named(cgroups.host_group(lab, host), ("glusterfsd",))


def _must_be_on(lab: Lab, host: Host) -> None:
    if not hosts.is_on(lab, host):
        raise LabError(f"{host.name} is off")


def _signal_libvirtd(lab: Lab, host: Host, number: signal.Signals) -> None:
    if host.kind == FULL:
        for name in LIBVIRT_DAEMONS:
            succeeds([*hosts.ssh(lab, host), "--", "pkill", f"-{number.name[3:]}", "-x", name], timeout_s=30)
        return
    pids = _pids_named(cgroups.host_group(lab, host), LIBVIRT_DAEMONS)
    _signal(pids, number)
    if number is signal.SIGKILL:
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), "end of libvirtd", 5)


def _pids_named(group: Path, names: tuple[str, ...]) -> list[int]:
    return [pid for pid in cgroups.pids(group) if _name(pid) in names]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return ""


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
