"""What the scripts share (scripts/lib.sh)."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY = 65534


def need_own(path: Path) -> subprocess.CompletedProcess[str]:
    argv = ["bash", "-c", '. scripts/lib.sh; need_own "$0"', str(path)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)


def test_ones_own_files_may_be_used(tmp_path: Path) -> None:
    assert need_own(tmp_path).returncode == 0
    assert need_own(tmp_path / "not there yet").returncode == 0


def test_files_of_somebody_else_are_refused(tmp_path: Path) -> None:
    path, owner = Path("/etc"), "root"
    if os.geteuid() == 0:
        path, owner = tmp_path, "nobody"
        os.chown(path, NOBODY, NOBODY)
    refused = need_own(path)
    assert refused.returncode == 1
    assert f"{path} belongs to {owner}" in refused.stderr
