"""Running programs, waiting, writing files."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.errors import LabError

PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
FILES = Path(__file__).resolve().parent / "files"


def say(text: str) -> None:
    """One line for the person in front of the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(
    argv: Sequence[str | Path],
    *,
    text: str | None = None,
    timeout_s: float = 60,
    env: dict[str, str] | None = None,
    log: Path | None = None,
) -> str:
    """Run a program and return what it wrote; LabError with its last words when it fails.

    `text` goes to its standard input; with `log` its output goes to the end of that file instead.
    """
    words = [str(word) for word in argv]
    full_env = {**os.environ, "LC_ALL": "C", "PATH": PATH, **(env or {})}
    try:
        if log is None:
            done = subprocess.run(
                words,
                input=text,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                env=full_env,
                check=False,
            )
            output, last = done.stdout, (done.stderr or done.stdout)
        else:
            with log.open("a") as file:
                done = subprocess.run(
                    words,
                    input=text,
                    stdout=file,
                    stderr=file,
                    text=True,
                    timeout=timeout_s,
                    env=full_env,
                    check=False,
                )
            output, last = "", log.read_text(errors="replace")
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed (python3 -m lab packages installs what is missing)") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words[:4])}: no end after {timeout_s:.0f} s") from error
    if done.returncode:
        raise LabError(f"{' '.join(words)}: exit {done.returncode}: {last.strip()[-1500:]}")
    return output


def succeeds(argv: Sequence[str | Path], timeout_s: float = 60) -> bool:
    """True when the program ends with 0."""
    try:
        run(argv, timeout_s=timeout_s)
    except LabError:
        return False
    return True


def wait_until(check: Callable[[], bool], what: str, timeout_s: float, every_s: float = 0.1) -> None:
    """Ask until `check` says yes; LabError naming `what` when the time is over."""
    end = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > end:
            raise LabError(f"{what}: not after {timeout_s:.0f} s")
        time.sleep(every_s)


def write(path: Path, content: str, mode: int = 0o644) -> None:
    """Write a file with this mode, folders included, never readable wider in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(content)
    path.chmod(mode)


def link(path: Path, target: str) -> None:
    """A symbolic link, replacing whatever file was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
