"""What an earlier start left behind because it was killed: its processes are ended, its sockets removed."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SESSION, START = 3, 19  # fields of /proc/PID/stat after the name, see proc(5)
GRACE_S = 5.0


@dataclass(frozen=True)
class Process:
    pid: int
    session: int
    start: int  # ticks since boot: with the pid it names a process for good


def processes() -> Iterator[Process]:
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
                continue
            if fields[0] != "Z":
                yield Process(int(folder.name), int(fields[SESSION]), int(fields[START]))


def of_session(leader: int, start: int) -> list[Process]:
    """The processes of the session that `leader` began. None if its number belongs to somebody else by now.

    A session's number is not given to a new process while one of its members lives, so a live leader with another start
    time means that all of them are gone.
    """
    members = [process for process in processes() if process.session == leader]
    if any(process.pid == leader and process.start != start for process in members):
        return []
    return [process for process in members if process.start >= start]


def end_earlier(pids: Path) -> list[str]:
    """End what is left of an earlier start, by the notes in DROVER_VAR/run/pids; returns the names."""
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    ended = []
    for note in sorted(pids.glob("*")):
        try:
            words = note.read_text().split()
        except FileNotFoundError:  # its process was just ending by itself
            continue
        if len(words) == 3 and words[2] == boot and _end(int(words[0]), int(words[1])):
            ended.append(note.name)
        note.unlink(missing_ok=True)  # a process that ends in good order removes its own
    return ended


def _end(leader: int, start: int) -> bool:
    found = False
    deadline = time.monotonic() + GRACE_S
    sent = False
    while members := of_session(leader, start):
        found = True
        late = time.monotonic() > deadline
        if not sent or late:
            for process in members:
                _signal(process.pid, signal.SIGKILL if late else signal.SIGTERM)
            sent = True
        time.sleep(0.05)
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def remove_sockets(run: Path) -> None:
    """Remove what a killed process could not: nobody listens there any more."""
    for pattern in ("*.sock", "*.sock.lock", "*.pid"):
        for path in run.glob(pattern):
            path.unlink()
