"""Downloads by a host's own curl. Names are looked up first, on that host, and curl is sent to an address that was
checked: neither DNS nor a redirect leads it to the host's loopback or to its cloud's metadata.

Scripts are constants; every name, path and address is an argument of them.
"""

import ipaddress
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO

from django.utils.translation import gettext as _

from virt import addresses, gate, ssh
from virt.errors import HostUnreachable, NoSpace, VirtError
from virt.target import Target

TOOLS = frozenset({"curl", "getent"})
MOST_REDIRECTS = 5
STALL_S = "30"
CURL = [
    "curl",
    "--disable",  # no settings of the account
    "--noproxy",
    "*",
    "--globoff",  # one address, whatever signs are in it
    "--silent",
    "--show-error",
    "--proto",
    "=http,https",
    "--connect-timeout",
    "15",
]
SAYS = "\n%{http_code} %{redirect_url}"
# the shell says its number and becomes curl: so this very curl, and no other, can be ended later
DOWNLOAD = 'echo "$$"; exec "$@"'
KILL = 'if tr "\\0" "\\n" <"/proc/$1/cmdline" 2>/dev/null | grep -qxF -- "$2"; then kill "$1"; fi'
# curl's exit status (curl.se/docs/manpage.html) -> is another try worth it
TRANSIENT = frozenset({5, 6, 7, 16, 18, 28, 35, 47, 52, 55, 56, 92})
CANT_RESOLVE = 6
CANT_RESUME = 33
TIME_OUT = 28
TOO_LARGE = 63
CANT_WRITE = 23
HTTP_ERROR = 22
TOO_MANY_REDIRECTS = 47


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


class ForbiddenPlace(VirtError):
    """A name or a redirect leads to where nothing may be fetched from."""


@dataclass(frozen=True)
class Place:
    """Where a file really is, after all redirects: curl connects to this address and to no other."""

    url: str
    address: str
    size_bytes: int | None = None  # None if the server does not tell

    @property
    def ask(self) -> list[str]:
        where = f"[{self.address}]" if ":" in self.address else self.address
        return [*CURL, "--connect-to", f"::{where}:"]

    @property
    def fetch(self) -> list[str]:
        """A redirect now, of which there was none a moment ago, is an error: look again."""
        return [*self.ask, "--fail", "--location", "--max-redirs", "0"]


def find(target: Target, url: str) -> Place:
    """Follow an address through its redirects, from the host. Raises ForbiddenPlace, DownloadFailed. Blocks."""
    for _hop in range(MOST_REDIRECTS + 1):
        place, onward = _look(target, url)
        if not onward:
            return place
        url = onward
    raise DownloadFailed(TOO_MANY_REDIRECTS, _("The server sends us on and on."))


def _look(target: Target, url: str) -> tuple[Place, str]:
    """One step: the place at the first of the name's addresses that answers, and where it sends us on, or ""."""
    for address in checked_addresses(target, url):
        place = Place(url, address)
        try:
            code, onward, size = _ask(target, place, "--head", "--max-time", "30")
            if code >= 400:  # some servers answer no HEAD
                first_byte = ("--range", "0-0", "--max-time", "15", "--dump-header", "-", "--output", "/dev/null")
                code, onward, size = _ask(target, place, *first_byte)
        except DownloadFailed as failed:
            problem = failed
            continue
        return Place(url, address, size if code < 400 else None), onward if 300 <= code < 400 else ""
    raise problem


def _ask(target: Target, place: Place, *how: str) -> tuple[int, str, int | None]:
    """Status, redirect and size of the whole as the server says them."""
    argv = [*place.ask, *how, "--write-out", SAYS, "--url", place.url]
    try:
        text = ssh.run(target, argv, timeout_s=60)
    except ssh.CommandFailed as failed:
        if failed.code != TIME_OUT:
            raise DownloadFailed(failed.code or 1, failed.technical) from failed
        return 200, "", None  # it sends, though not what was asked for
    headers, _end, last = text.rpartition("\n")
    code, _space, onward = last.partition(" ")
    return int(code) if code.isdigit() else 0, onward.strip(), _size(headers)


def _size(headers: str) -> int | None:
    found = None
    for line in headers.splitlines():
        name, _colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name == "content-range":
            whole = value.rpartition("/")[2]
            return int(whole) if whole.isdigit() else None
        if name == "content-length" and value.isdigit():
            found = int(value)
    return found


def checked_addresses(target: Target, url: str) -> list[str]:
    """The addresses of a URL's host as this host sees them. Raises ForbiddenPlace if one is not allowed."""
    try:
        name = addresses.host_of(url)
    except (ValueError, UnicodeError) as error:
        raise ForbiddenPlace(_("The server sends us on to another kind of address."), url[:500]) from error
    spelled = addresses.literal(name)
    if spelled is not None:
        found = [str(spelled)]
    else:
        lines = ssh.run(target, ["getent", "ahosts", name], timeout_s=45, check=False).splitlines()
        found = list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
    if not found:
        raise DownloadFailed(CANT_RESOLVE, _("The host can't find %(name)s.") % {"name": name})
    for text in found:
        if not addresses.is_fetchable(ipaddress.ip_address(text.partition("%")[0])):
            words = _(
                "%(name)s leads to %(address)s, which is only for the host itself; nothing is fetched from there."
            )
            raise ForbiddenPlace(words % {"name": name, "address": text}, url[:500])
    return found


def fetch_text(target: Target, url: str, max_bytes: int = 1024 * 1024) -> str:
    """A small text, such as a list of checksums, fetched by the host. Raises DownloadFailed, ForbiddenPlace."""
    place = find(target, url)
    argv = [*place.fetch, "--max-time", "60", "--max-filesize", str(max_bytes), "--url", place.url]
    try:
        return ssh.run(target, argv, timeout_s=75)[:max_bytes]
    except ssh.CommandFailed as failed:
        raise DownloadFailed(failed.code or 1, failed.technical) from failed


class Download:
    """One curl on the host that writes a file, going on where an earlier one stopped."""

    def __init__(self, target: Target, place: Place, path: str, max_bytes: int) -> None:
        gate.check(f"ssh {target.key} curl")
        ssh.ready(target)
        limits = ["--max-filesize", str(max_bytes), "--speed-limit", "1", "--speed-time", STALL_S]
        curl = [*place.fetch, *limits, "--continue-at", "-", "--output", path, "--url", place.url]
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
