"""Files on a host by SSH: download by curl, checksum, qemu-img, read-only. Only for pools whose volumes are files.

Scripts are constants; every name, path and address is an argument of them.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO

from django.utils.translation import gettext as _

from virt import gate, qemu_img, ssh
from virt.errors import HostUnreachable, NoSpace, VirtError
from virt.qemu_img import ImageInfo
from virt.target import Target

REDIRECTS = "5"
STALL_S = "30"
SLOWEST_BYTES_S = 20 * 1024 * 1024  # how fast a disk reads at least, for time-outs
CURL = [
    "curl",
    "--fail",
    "--silent",
    "--show-error",
    "--location",
    "--max-redirs",
    REDIRECTS,
    "--proto",
    "=http,https",
    "--proto-redir",
    "=http,https",
    "--connect-timeout",
    "15",
    # a redirect must not lead to the metadata of the cloud that the host runs in
    "--connect-to",
    "169.254.169.254::127.0.0.1:9",
]
# the shell says its number and becomes curl: so this very curl, and no other, can be ended later
DOWNLOAD = 'echo "$$"; exec "$@"'
KILL = 'if tr "\\0" "\\n" <"/proc/$1/cmdline" 2>/dev/null | grep -qxF -- "$2"; then kill "$1"; fi'
# curl's exit status (curl.se/docs/manpage.html) -> is another try worth it
TRANSIENT = frozenset({5, 6, 7, 16, 18, 28, 35, 52, 55, 56, 92})
CANT_RESUME = 33
TOO_LARGE = 63
CANT_WRITE = 23
HTTP_ERROR = 22
DAMAGED = 2
LEAKS = 3


def programs(target: Target, *wanted: str) -> set[str]:
    """Which of these programs the host has."""
    script = 'for name in "$@"; do command -v "$name" >/dev/null && echo "$name"; done; true'
    return set(ssh.run(target, ["sh", "-c", script, "sh", *wanted]).split())


def can_write(target: Target, folder: str) -> bool:
    """Whether our account on the host may make files in this folder."""
    return bool(ssh.run(target, ["sh", "-c", 'test -d "$1" && test -w "$1" && echo yes; true', "sh", folder]).strip())


def can_read(target: Target, path: str) -> bool:
    """Whether our account on the host may read this file."""
    return bool(ssh.run(target, ["sh", "-c", 'test -r "$1" && echo yes; true', "sh", path]).strip())


def size(target: Target, path: str) -> int | None:
    """Length of a file, None if it is not there."""
    text = ssh.run(target, ["stat", "-L", "-c", "%s", "--", path], check=False).strip()
    return int(text) if text.isdigit() else None


def allocated(target: Target, path: str) -> int | None:
    """Bytes that a file takes on its disk, None if it is not there."""
    text = ssh.run(target, ["stat", "-L", "-c", "%b %B", "--", path], check=False).split()
    return int(text[0]) * int(text[1]) if len(text) == 2 else None


def remove(target: Target, path: str) -> None:
    """Delete a file; no error if it is not there."""
    ssh.run(target, ["rm", "-f", "--", path])


def set_mode(target: Target, path: str, mode: int) -> None:
    """Change the permissions of a file."""
    ssh.run(target, ["chmod", f"{mode:04o}", "--", path])


def checksum(target: Target, path: str, algorithm: str, size_bytes: int) -> str:
    """The hexadecimal sha256 or sha512 of a file, computed on the host. Blocks for as long as it reads."""
    if algorithm not in {"sha256", "sha512"}:
        raise ValueError(f"unknown checksum {algorithm!r}")
    timeout_s = 60 + size_bytes / SLOWEST_BYTES_S
    return ssh.run(target, [f"{algorithm}sum", "--", path], timeout_s=timeout_s).split()[0].lstrip("\\")


def image_info(target: Target, path: str, format_: str) -> ImageInfo:
    """`qemu-img info` of one file, read as this format and nothing else. Raises BadImage."""
    argv = ["qemu-img", "info", "-U", "--output=json", "-f", format_, "--", path]
    try:
        return qemu_img.parse_info(ssh.run(target, argv, timeout_s=60))
    except (ssh.CommandFailed, qemu_img.BadInfo) as error:
        technical = error.technical if isinstance(error, VirtError) else str(error)
        raise BadImage(_("QEMU can't read this image."), technical) from error


def check_image(target: Target, path: str, size_bytes: int) -> str:
    """`qemu-img check` of a qcow2 file; returns a remark for harmless faults. Raises BadImage for damage."""
    argv = ["qemu-img", "check", "-U", "-q", "-f", "qcow2", "--", path]
    try:
        ssh.run(target, argv, timeout_s=120 + size_bytes / SLOWEST_BYTES_S)
    except ssh.CommandFailed as failed:
        if failed.code == LEAKS:
            return _("The image wastes some space (leaked clusters), which does no harm.")
        raise BadImage(_("The image is damaged or cut off."), failed.technical) from failed
    return ""


class BadImage(VirtError):
    """The file is not an image that can be used."""


class DownloadFailed(VirtError):
    """curl gave up. `is_transient`: another try may do; `can_resume` False: what is there must go first."""

    def __init__(self, status: int, stderr: str) -> None:
        message = _("The download failed: %(why)s") % {"why": _why(status, stderr)}
        super().__init__(message, stderr.strip(), status)
        self.is_transient = status in TRANSIENT or (status == HTTP_ERROR and " 50" in stderr)
        self.can_resume = status != CANT_RESUME


def _why(status: int, stderr: str) -> str:
    if status == TOO_LARGE:
        return _("the file is larger than allowed.")
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].partition(") ")[2] or lines[-1] if lines else _("curl ended with status %(n)s.") % {"n": status}


@dataclass(frozen=True)
class Remote:
    """What a server says of a file: size None if it does not tell."""

    size_bytes: int | None


def look(target: Target, url: str) -> Remote:
    """Ask the server for the size of a file, from the host. A server that answers no HEAD tells nothing."""
    headers = ssh.run(target, [*CURL, "--head", "--max-time", "30", "--url", url], timeout_s=45, check=False)
    length = None
    for line in headers.splitlines():
        name, _colon, value = line.partition(":")
        if line.startswith("HTTP/"):
            length = None  # of a redirect's answer
        elif name.strip().lower() == "content-length" and value.strip().isdigit():
            length = int(value)
    return Remote(length)


def fetch_text(target: Target, url: str, max_bytes: int = 1024 * 1024) -> str:
    """A small text, such as a list of checksums, fetched by the host. Raises DownloadFailed."""
    argv = [*CURL, "--max-time", "60", "--max-filesize", str(max_bytes), "--url", url]
    try:
        return ssh.run(target, argv, timeout_s=75)[:max_bytes]
    except ssh.CommandFailed as failed:
        raise DownloadFailed(failed.code or 1, failed.technical) from failed


class Download:
    """One curl on the host that writes a file, going on where an earlier one stopped."""

    def __init__(self, target: Target, url: str, path: str, max_bytes: int) -> None:
        gate.check(f"ssh {target.key} curl")
        ssh.ready(target)
        limits = ["--max-filesize", str(max_bytes), "--speed-limit", "1", "--speed-time", STALL_S]
        curl = [*CURL, *limits, "--continue-at", "-", "--output", path, "--url", url]
        argv = ssh.argv_for(target, ["sh", "-c", DOWNLOAD, "sh", *curl])
        self._target, self._path = target, path
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._stderr, start_new_session=True
        )
        first = self._process.stdout.readline() if self._process.stdout else b""
        self.remote_pid = int(first) if first.strip().isdigit() else 0

    def wait(self, timeout_s: float) -> bool:
        """Whether curl has ended, after waiting so long for it. Raises what it ended with."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._stderr.seek(0)
        stderr = self._stderr.read().decode(errors="replace")
        self._close()
        if status == 0:
            return True
        if status == 255 and self._target.transport != "local":
            raise HostUnreachable(_("The connection to the host was lost."), stderr.strip())
        if status == CANT_WRITE:
            raise NoSpace(_("The host could not write the file: is the pool full?"), stderr.strip(), status)
        raise DownloadFailed(status, stderr)

    def stop(self) -> None:
        """End curl on the host and our end of it. What was written stays."""
        if self._process.poll() is None:
            if self.remote_pid:
                kill_download(self._target, self.remote_pid, self._path)
            self._process.terminate()
            self._process.wait(10)
        self._close()

    def _close(self) -> None:
        if self._process.stdout:
            self._process.stdout.close()
        self._stderr.close()


def kill_download(target: Target, remote_pid: int, path: str) -> None:
    """End the curl that writes this path if it is still that process: also one that an earlier worker left behind."""
    ssh.run(target, ["sh", "-c", KILL, "sh", str(remote_pid), path])
