"""This machine's libvirt, if it is to be a host: whether it answers, and how to run it where nobody else does."""

import os
import re
import socket
import subprocess
from pathlib import Path

SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")
CONFIG = Path("/etc/libvirt/libvirtd.conf")
# Who may manage VMs: the group that came with the package. Otherwise libvirtd asks polkit, which needs a system bus.
BY_GROUP = {"unix_sock_group": "libvirt", "unix_sock_rw_perms": "0770", "auth_unix_rw": "none"}


class NeedsPassword(Exception):
    """libvirtd must be started, and sudo would ask for a password where nobody can type it."""


def answers() -> bool:
    for path in SOCKETS:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except OSError:
                continue
            return True
    return False


def daemons(var: Path) -> dict[str, str]:
    """The daemons to keep running, with their commands. None if libvirt answers, or systemd starts it when asked."""
    if answers() or Path("/run/systemd/system").exists():
        return {}
    logs = "env LIBVIRT_LOG_OUTPUTS=3:file:$DROVER_VAR/run/{0}.log {0}"
    found = {name: logs.format(name) for name in ("virtlogd", "libvirtd")}
    if os.geteuid() == 0:
        return found
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False, start_new_session=True).returncode != 0:
        raise NeedsPassword
    write_config(var / "run" / "libvirtd.conf", CONFIG)
    found["libvirtd"] += ' -f "$DROVER_VAR/run/libvirtd.conf"'
    return {name: f"sudo scripts/with_parent $$ {command}" for name, command in found.items()}


def write_config(path: Path, original: Path) -> None:
    """The machine's own configuration, but the group decides who may manage VMs."""
    given = original.read_text() if os.access(original, os.R_OK) else ""
    others = [line for line in given.splitlines() if not re.match(rf"\s*({'|'.join(BY_GROUP)})\s*=", line)]
    path.write_text("\n".join([*(f'{name} = "{value}"' for name, value in BY_GROUP.items()), *others, ""]))
