"""Kernel limits of the machine that several systemds together run into; the last lab to go puts the old values back."""

import json
from pathlib import Path

from lab import cgroups
from lab.system import say

WANTED = {
    # Seven a host; Debian's default of 128 is shared by all that root runs.
    "/proc/sys/fs/inotify/max_user_instances": 1024,
    # QEMU, which is not root, needs it to take a VM by post-copy.
    "/proc/sys/vm/unprivileged_userfaultfd": 1,
}
NOTE = Path("/run/lab-limits.json")


def raise_limits() -> None:
    """Raise what is too low, and note for all labs what it was."""
    before = json.loads(NOTE.read_text()) if NOTE.exists() else {}
    for name, wanted in WANTED.items():
        if not Path(name).exists():
            continue
        now = int(Path(name).read_text())
        if now < wanted:
            say(f"Raising {name} from {now} to {wanted}")
            before.setdefault(name, now)
            NOTE.write_text(json.dumps(before))
            Path(name).write_text(str(wanted))


def restore_limits() -> None:
    """Put back what `raise_limits` found, when no lab is left and nobody has changed it since."""
    if not NOTE.exists() or any(cgroups.root().glob("*-lab")):
        return
    for name, before in json.loads(NOTE.read_text()).items():
        if int(Path(name).read_text()) == WANTED.get(name):
            Path(name).write_text(str(before))
    NOTE.unlink()
