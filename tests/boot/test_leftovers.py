"""Only what an earlier start of ours left is ended."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import leftovers

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def start_of(pid: int) -> int:
    return next(process.start for process in leftovers.processes() if process.pid == pid)


def note(folder: Path, name: str, pid: int, start: int, boot: str = BOOT) -> None:
    (folder / name).write_text(f"{pid} {start} {boot}\n")


def test_it_works(tmp_path: Path, orphan: subprocess.Popen[bytes]) -> None:
    note(tmp_path, "web", orphan.pid, start_of(orphan.pid))
    assert leftovers.end_earlier(tmp_path) == ["web"]
    assert orphan.wait(5) == -15
    assert list(tmp_path.iterdir()) == []


def test_another_process_with_the_same_number_lives_on(tmp_path: Path, orphan: subprocess.Popen[bytes]) -> None:
    note(tmp_path, "web", orphan.pid, start_of(orphan.pid) - 1)
    assert leftovers.end_earlier(tmp_path) == []
    assert orphan.poll() is None


def test_a_note_from_before_a_reboot_means_nothing(tmp_path: Path, orphan: subprocess.Popen[bytes]) -> None:
    note(tmp_path, "web", orphan.pid, start_of(orphan.pid), "11111111-2222-3333-4444-555555555555")
    (tmp_path / "broken").write_text("")
    assert leftovers.end_earlier(tmp_path) == []
    assert orphan.poll() is None


def test_stale_sockets_go(tmp_path: Path) -> None:
    for name in ("web.sock", "web.sock.lock", "nginx.pid", "nginx.conf"):
        (tmp_path / name).touch()
    os.symlink("nowhere", tmp_path / "redis.sock")
    leftovers.remove_sockets(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["nginx.conf"]
