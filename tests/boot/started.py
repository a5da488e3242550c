"""A Drover started as `make up` does, with a folder and a port of its own."""

import os
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
READY = "Drover is ready"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Started:
    """One start at a time; `log` is what the latest one printed."""

    var: Path
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    extra: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DROVER_")}
        own = {"DROVER_VAR": str(self.var), "DROVER_LISTEN": f"{self.host}:{self.port}", "DROVER_LOCAL_HOST": "0"}
        return {**kept, **own, **self.extra}

    @property
    def log_file(self) -> Path:
        return self.var.parent / f"{self.var.name}.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self, within_s: float = 90) -> float:
        """Start and wait until it says that it is ready; returns the seconds that took."""
        began = time.monotonic()
        with self.log_file.open("wb") as log:
            argv = [str(ROOT / "scripts" / "up")]
            self.process = subprocess.Popen(
                argv, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        while READY not in self.log:
            if self.process.poll() is not None or time.monotonic() - began > within_s:
                raise AssertionError(f"it did not start:\n{self.log[-3000:]}")
            time.sleep(0.05)
        return time.monotonic() - began

    def run_to_end(self) -> tuple[int, str]:
        """A start that is expected to refuse: its status and what it said."""
        argv = [str(ROOT / "scripts" / "up")]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def signal(self, number: signal.Signals, within_s: float = 20) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGTERM)

    def keeper(self, name: str) -> int:
        """The leader of a process's session, by its note."""
        return int((self.var / "run" / "pids" / name).read_text().split()[0])

    def names(self) -> list[str]:
        return sorted(note.name for note in (self.var / "run" / "pids").iterdir())

    def get(self, path: str, *, https: bool = False) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers; redirects are not followed."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), NoRedirect()
        )
        scheme = "https" if https else "http"
        try:
            with opener.open(f"{scheme}://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace"), dict(error.headers)

    def password(self) -> str:
        found = re.findall(r"Log in as admin with the password (\S+)", self.log)
        assert len(found) == 1, self.log
        return str(found[0])

    def log_in(self, name: str, password: str) -> bool:
        """Whether the login form takes them."""
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(), NoRedirect()
        )
        url = f"http://127.0.0.1:{self.port}/login"
        page = opener.open(url, timeout=20).read().decode()
        token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        form = urllib.parse.urlencode({"username": name, "password": password, "csrfmiddlewaretoken": token})
        try:
            opener.open(url, form.encode(), timeout=20)
        except urllib.error.HTTPError as error:
            return error.code == 302
        return False


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def sessions(leaders: list[int]) -> list[int]:
    """The processes in the sessions of these leaders."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) in leaders and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def listening_addresses(pids: list[int]) -> set[str]:
    """Where these processes listen on TCP or UDP, as 127.0.0.1:8000 (from /proc, IPv4 and IPv6)."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table, listening in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == listening and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.add(f"{_readable(address)}:{int(port, 16)}")
    return found


def _readable(address: str) -> str:
    raw = bytes.fromhex(address)
    words = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, words)
