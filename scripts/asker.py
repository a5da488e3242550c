"""Who started Drover: the terminal, which may be closed at any moment, and make, with which Drover ends."""

import os
import select
import signal
import threading
from contextlib import suppress

STDOUT = 1


class Output:
    """Standard output for honcho. What nobody can read any more is lost: a closed terminal is no error."""

    def __init__(self) -> None:
        self._text = ""

    def isatty(self) -> bool:
        return os.isatty(STDOUT)

    def write(self, text: str) -> int:
        self._text += text
        return len(text)

    def flush(self) -> None:
        text, self._text = self._text, ""
        left = text.encode(errors="replace")
        with suppress(OSError):
            while left:
                left = left[os.write(STDOUT, left) :]


def end_with(pid: int) -> None:
    """Ask ourselves to end when that process is gone. The kernel's own way (setpriv) does not get past sg and sudo."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    threading.Thread(target=_wait, args=(handle,), daemon=True).start()


def _wait(handle: int) -> None:
    select.select([handle], [], [])
    os.close(handle)
    os.kill(os.getpid(), signal.SIGTERM)
