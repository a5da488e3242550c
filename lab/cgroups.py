"""Control groups (version 2): whatever the lab starts lives in one, so that nothing of it can be lost.

Works with systemd's pure version 2 tree and with a hybrid one (version 2 at /sys/fs/cgroup/unified).
"""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lab.config import Host, Lab
from lab.errors import LabError
from lab.system import wait_until

ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


def root() -> Path:
    """Where the machine has the version 2 tree mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split(" ")
        if fields[2] == "cgroup2":
            return Path(fields[1])
    raise LabError("no cgroup2 file system is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")


def lab_group(lab: Lab) -> Path:
    return root() / f"{lab.name}-lab"


def host_group(lab: Lab, host: Host) -> Path:
    return lab_group(lab) / host.name


def make(group: Path) -> Path:
    """Make the group and those above it, and hand down the controllers that the machine offers."""
    group.mkdir(parents=True, exist_ok=True)
    for above in [*reversed(group.relative_to(root()).parents)][1:]:
        for controller in ("cpu", "memory", "io", "pids"):
            with suppress(OSError):
                (root() / above / "cgroup.subtree_control").write_text(f"+{controller}")
    return group


def start_in(group: Path, argv: Sequence[str | Path], log: Path, env: dict[str, str] | None = None) -> int:
    """Start a program inside the group, in a session of its own; it outlives us. Returns its pid."""
    with log.open("a") as output:
        started = subprocess.Popen(
            ["/bin/sh", "-c", ENTER, str(group), *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(env or {})},
            cwd="/",
        )
    wait_until(lambda: is_populated(group) or started.poll() is not None, f"start of {argv[0]}", 10, every_s=0.01)
    return started.pid


def inside(group: Path, argv: Sequence[str | Path]) -> list[str]:
    """The command line that runs `argv` inside the group."""
    return ["/bin/sh", "-c", ENTER, str(group), *map(str, argv)]


def pids(group: Path) -> list[int]:
    """All processes of the group and of the groups below."""
    found: list[int] = []
    for folder, _, _ in os.walk(group):
        with suppress(OSError):
            found += map(int, (Path(folder) / "cgroup.procs").read_text().split())
    return found


def is_populated(group: Path) -> bool:
    try:
        return "populated 1" in (group / "cgroup.events").read_text()
    except OSError:
        return False


def is_frozen(group: Path) -> bool:
    try:
        return (group / "cgroup.freeze").read_text().strip() == "1"
    except OSError:
        return False


def freeze(group: Path, *, frozen: bool) -> None:
    """Stop every process of the group where it stands, or let them go on."""
    if group.is_dir():
        (group / "cgroup.freeze").write_text("1" if frozen else "0")


def kill(group: Path) -> None:
    """Kill every process of the group at once, then remove the group; nothing to do is fine."""
    if not group.is_dir():
        return
    (group / "cgroup.kill").write_text("1")
    (group / "cgroup.freeze").write_text("0")
    wait_until(lambda: not is_populated(group), f"end of the processes in {group}", 20, every_s=0.02)
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(FileNotFoundError):
            Path(folder).rmdir()
