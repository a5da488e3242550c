"""A database with all its tables and nobody in it, made once a run and copied: that takes most of a first start."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "drover.sqlite3"


def prepare(var: Path) -> None:
    """As after `manage.py migrate` in this DROVER_VAR."""
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(made(), var / NAME)


def made() -> Path:
    """Where it is. Several processes of one run (pytest-xdist) share it: the first makes it, the others wait."""
    folder = Path(os.environ["DROVER_TEST_VAR"]) / "prepared"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / NAME).exists():
            half = folder / "half"
            kept = {name: text for name, text in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
            argv = [str(ROOT / ".venv" / "bin" / "python"), "manage.py", "migrate", "-v0"]
            subprocess.run(argv, cwd=ROOT, env={**kept, "DROVER_VAR": str(half)}, check=True, timeout=180)
            (half / NAME).rename(folder / NAME)
            shutil.rmtree(half)
    return folder / NAME
