"""What can be done with any host of the lab, whatever kind it is."""

import socket
from contextlib import suppress

from lab import cgroups, containers, full, network, state
from lab.config import FULL, Host, Lab
from lab.errors import LabError
from lab.system import run, wait_until


def prepare(lab: Lab, host: Host) -> None:
    """Give the host a disk, if it has none."""
    (full if host.kind == FULL else containers).prepare(lab, host)


def start(lab: Lab, host: Host) -> None:
    """Power the host on, if it is off; returns before it has booted."""
    (full if host.kind == FULL else containers).start(lab, host)


def is_made(lab: Lab, host: Host) -> bool:
    """True when the host exists, on or off: the full ones are made on demand."""
    return (lab.host_dir(host) / "ready").exists()


def is_on(lab: Lab, host: Host) -> bool:
    return cgroups.is_populated(cgroups.host_group(lab, host))


def answers(address: str, timeout_s: float = 1) -> bool:
    """True when an SSH server greets at this address."""
    with suppress(OSError), socket.create_connection((address, 22), timeout=timeout_s) as connection:
        connection.settimeout(timeout_s)
        return connection.recv(4) == b"SSH-"
    return False


def wait_booted(lab: Lab, host: Host) -> None:
    """Wait until SSH answers; LabError with the console's last lines when the host does not come up."""
    console = lab.host_dir(host) / "console.log"

    def booted() -> bool:
        if not is_on(lab, host):
            raise LabError(f"{host.name} went off while booting: {console.read_text(errors='replace')[-1500:]}")
        return answers(lab.address(host))

    wait_until(
        booted,
        f"{host.name} answering on SSH (faults are undone by fault heal; its console is {console})",
        180 if host.kind == FULL else 60,
    )
    state.update_host(lab, host, pid=leader(lab, host))


def leader(lab: Lab, host: Host) -> int:
    """The machine's pid of the host's first process; LabError when the host is off."""
    if host.kind != FULL:
        return containers.leader(lab, host)
    pids = cgroups.pids(cgroups.host_group(lab, host))
    if not pids:
        raise LabError(f"{host.name} is off")
    return min(pids)


def execute(lab: Lab, host: Host, argv: list[str], timeout_s: float = 60) -> str:
    """Run a program on a host: a container needs no network for that, a full host is reached by SSH."""
    if host.kind != FULL:
        return containers.execute(lab, host, argv, timeout_s)
    return run([*ssh(lab, host), "--", *argv], timeout_s=timeout_s)


def ssh(lab: Lab, host: Host) -> list[str]:
    """The command line that logs in on a host with the lab's key and the host's known key."""
    known = lab.dir / "known_hosts"
    options = ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10"]
    return ["ssh", "-i", str(lab.key), "-o", "IdentitiesOnly=yes", *options, f"root@{lab.address(host)}"]


def write_known_hosts(lab: Lab) -> None:
    """The host keys of all made hosts, for ssh."""
    lines = [
        f"{lab.address(host)},{host.name} {' '.join(file.read_text().split()[:2])}"
        for host in lab.hosts
        for file in sorted(lab.identity_dir(host).glob("*.pub"))
    ]
    (lab.dir / "known_hosts").write_text("".join(f"{line}\n" for line in lines))


def power_off(lab: Lab, host: Host) -> None:
    """Cut the power: the cable goes dead first (a dead machine says no goodbye), then every process is gone."""
    network.unplug(lab, host)
    cgroups.kill(cgroups.host_group(lab, host))
    network.detach(lab, host)
