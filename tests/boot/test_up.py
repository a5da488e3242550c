"""`make up` itself: first start, second start, its end, and what a kill leaves."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests import prepared
from tests.boot.started import READY, ROOT, Started, listening_addresses, sessions

pytestmark = pytest.mark.lab
NAMES = ["console", "front", "redis", "watch", "web", "work"]
PAGES_ONLY = {"DROVER_PROCESSES": "redis front web"}


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Nothing was ever started there."""
    started = Started(tmp_path_factory.mktemp("up") / "var")
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def drover(bare: Started) -> Started:
    """Its database is there already, with nobody in it."""
    prepared.prepare(bare.var)
    return bare


def leaders(drover: Started) -> list[int]:
    return [drover.keeper(name) for name in drover.names()]


def wait_until_gone(pids: list[int], within_s: float = 10) -> None:
    until = time.monotonic() + within_s
    while left := sessions(pids):
        assert time.monotonic() < until, left
        time.sleep(0.1)


def test_first_and_second_start(bare: Started) -> None:
    bare.start()
    assert bare.names() == NAMES
    assert bare.var.stat().st_mode & 0o077 == 0
    assert bare.get("/healthz")[:2] == (200, "ok")
    assert listening_addresses(sessions(leaders(bare))) == {f"127.0.0.1:{bare.port}"}
    assert "admin" in bare.log
    assert bare.log_in("admin", bare.password())
    assert not bare.log_in("admin", "another password")
    status, said = bare.run_to_end()
    assert (status, "already runs" in said) == (2, True)

    ours = leaders(bare)
    assert bare.signal(signal.SIGINT) == 0
    assert sessions(ours) == []
    assert "Traceback" not in bare.log

    bare.start()
    assert "with the password" not in bare.log
    assert "Installing" not in bare.log


def test_static_files_may_be_kept_for_ever(drover: Started) -> None:
    drover.extra = PAGES_ONLY
    drover.start()
    _status, page, _headers = drover.get("/login?next=/")
    sheet = page.partition('href="/static/')[2].partition('"')[0]
    status, _text, headers = drover.get(f"/static/{sheet}")
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")


def test_kill_9_of_everything_does_not_block_the_next_start(drover: Started) -> None:
    drover.start()
    before = leaders(drover)
    (drover.var / "run" / "pids" / "ghost").write_text("1 1 some-other-boot\n")  # a note of another boot is no order
    os.kill(before[0], signal.SIGKILL)  # a keeper alone: what it kept is an orphan now
    drover.signal(signal.SIGKILL)
    drover.start()
    wait_until_gone(before)
    assert drover.names() == NAMES
    assert drover.get("/healthz")[0] == 200


def test_a_closed_terminal_ends_all_of_it(drover: Started) -> None:
    ours, theirs = os.openpty()
    argv = ["setsid", "--ctty", str(ROOT / "scripts" / "up")]
    drover.process = subprocess.Popen(argv, env=drover.environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, until = b"", time.monotonic() + 240
    while READY.encode() not in shown:
        assert time.monotonic() < until, shown
        if select.select([ours], [], [], 1)[0]:
            shown += os.read(ours, 4096)
    before = leaders(drover)
    os.close(ours)
    assert drover.process.wait(20) == 0
    assert sessions(before) == []


def test_it_ends_with_make(drover: Started) -> None:
    with subprocess.Popen(["sleep", "1000"]) as make:
        drover.extra = {"DROVER_MAKE": str(make.pid)}
        drover.start()
        before = leaders(drover)
        make.kill()
        assert drover.process is not None
        assert drover.process.wait(20) == 0
    assert sessions(before) == []


def test_pages_say_that_they_are_away(drover: Started) -> None:
    drover.extra = PAGES_ONLY
    drover.start()
    keeper = drover.keeper("web")
    os.kill(keeper, signal.SIGSTOP)  # nobody starts it again
    for pid in sessions([keeper]):
        if pid != keeper:
            os.kill(pid, signal.SIGKILL)
    status, page, headers = drover.get("/login")
    os.kill(keeper, signal.SIGCONT)
    assert (status, headers["Retry-After"]) == (503, "2")
    assert "Drover is starting" in page


def test_a_killed_process_comes_back(drover: Started) -> None:
    drover.start()
    keeper = drover.keeper("work")
    until = time.monotonic() + 30
    while len(sessions([keeper])) < 2:  # it waits for the pages first
        assert time.monotonic() < until
        time.sleep(0.1)
    old = {pid for pid in sessions([keeper]) if pid != keeper}
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    while not (fresh := {pid for pid in sessions([keeper]) if pid != keeper} - old) or not named(fresh, "celery"):
        assert time.monotonic() < until, drover.log[-2000:]
        time.sleep(0.1)
    assert "starting it again" in drover.log


def named(pids: set[int], word: str) -> bool:
    return any(word in Path(f"/proc/{pid}/cmdline").read_text() for pid in pids if Path(f"/proc/{pid}").exists())


def test_https_with_its_own_certificate_elsewhere(drover: Started) -> None:
    drover.host = str(IPv4Address(0))
    drover.extra = {"DROVER_ADMIN_PASSWORD": "correct horse 7"}
    drover.start()
    assert "its SHA-256 fingerprint is" in drover.log
    assert "correct horse 7" not in drover.log
    status, _text, headers = drover.get("/login", https=True)
    assert status == 200
    assert "Secure" in headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in headers  # browsers would never forget a certificate of our own
    status, _text, headers = drover.get("/login")
    assert (status, headers["Location"]) == (308, f"https://127.0.0.1:{drover.port}/login")
    assert (drover.var / "tls" / "key.pem").stat().st_mode & 0o077 == 0


def test_a_taken_port_is_said_before_anything_is_made(bare: Started) -> None:
    first = Started(bare.var.parent / "first", extra=PAGES_ONLY)
    prepared.prepare(first.var)
    try:
        first.start()
        bare.port = first.port
        status, said = bare.run_to_end()
        assert status == 2
        assert f"Can't listen on 127.0.0.1:{bare.port}" in said
        assert not (bare.var / "drover.sqlite3").exists()
    finally:
        first.stop()


def test_a_folder_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    status, said = Started(tmp_path / ("x" * 60) / "var").run_to_end()
    assert status == 2
    assert "too long" in said


def test_chosen_processes_only(drover: Started) -> None:
    drover.extra = PAGES_ONLY
    drover.start()
    assert drover.names() == ["front", "redis", "web"]
    drover.stop()
    drover.extra = {"DROVER_PROCESSES": "web wrok"}
    status, said = drover.run_to_end()
    assert status == 2
    assert "wrok" in said


def test_a_full_disk_is_said_before_anything_is_made(bare: Started) -> None:
    bare.var.mkdir()
    script = 'mount -t tmpfs -o size=5m tmpfs "$DROVER_VAR" && scripts/up; ls -A "$DROVER_VAR"'
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(argv, cwd=ROOT, env=bare.environment, capture_output=True, text=True, timeout=60, check=False)
    assert "The disk is full: only 5 MB are free" in done.stderr
    assert done.stdout == ""
