"""Kernel limits of the machine that several systemds together run into; `down` puts the old values back."""

import json
from pathlib import Path

from lab.config import Lab
from lab.system import say

# Seven a host; Debian's default of 128 is shared by all that root runs, other labs included.
WANTED = {"/proc/sys/fs/inotify/max_user_instances": 1024}


def raise_limits(lab: Lab) -> None:
    """Raise what is too low, and note what it was."""
    note = lab.dir / "limits.json"
    before = json.loads(note.read_text()) if note.exists() else {}
    for name, wanted in WANTED.items():
        now = int(Path(name).read_text())
        if now < wanted:
            say(f"Raising {name} from {now} to {wanted}")
            before.setdefault(name, now)
            note.write_text(json.dumps(before))
            Path(name).write_text(str(wanted))


def restore_limits(lab: Lab) -> None:
    """Put back what `raise_limits` found, unless somebody has changed it since."""
    note = lab.dir / "limits.json"
    for name, before in (json.loads(note.read_text()) if note.exists() else {}).items():
        if int(Path(name).read_text()) == WANTED.get(name):
            Path(name).write_text(str(before))
