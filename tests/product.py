"""A whole running Drover for tests and the bench: `scripts/up` with a folder and a port of its own, and its API."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import prepared

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse 7"
ENDED = {"succeeded", "failed", "errored", "cancelled"}


class ApiError(AssertionError):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Product:
    """One running Drover. `stop` ends it; `api` calls it as a script would."""

    var: Path
    port: int = field(default_factory=free_port)
    extra: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    token: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        given = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
        own = {
            "DROVER_VAR": str(self.var),
            "DROVER_LISTEN": f"127.0.0.1:{self.port}",
            "DROVER_LOCAL_HOST": "0",
            "DROVER_ADMIN_PASSWORD": PASSWORD,
        }
        return {**given, **own, **self.extra}

    def start(self, within_s: float = 120) -> "Product":
        self.var.mkdir(parents=True, exist_ok=True)
        if "DROVER_TEST_VAR" in os.environ and not (self.var / prepared.NAME).exists():  # the bench makes its own
            prepared.prepare(self.var)
        log = (self.var / "product.log").open("ab")
        self.process = subprocess.Popen(
            [str(ROOT / "scripts" / "up")],
            cwd=ROOT,
            env=self.environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        until = time.monotonic() + within_s
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"Drover did not start:\n{self.log()[-3000:]}")
            time.sleep(0.1)
        if not self.token:
            self.token = self.manage("token", "create", "--user", "admin", "--name", "tests").split()[-1]
        return self

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def log(self) -> str:
        return (self.var / "product.log").read_text(errors="replace")

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "python"), "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"manage.py {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def pid(self, name: str) -> int:
        """The process of that name in the Procfile: the child of its keeper."""
        keeper = (self.var / "run" / "pids" / name).read_text().split()[0]
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        return int(children[0])

    def kill(self, name: str) -> None:
        """kill -9 one of its processes; its keeper starts it again."""
        os.kill(self.pid(name), signal.SIGKILL)

    def api(self, method: str, path: str, body: Any = None, timeout_s: float = 30) -> Any:
        """Call /api/v1; raises ApiError for 4xx and 5xx."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raw = error.read()
            try:
                raise ApiError(error.code, json.loads(raw)) from error
            except json.JSONDecodeError:
                raise ApiError(error.code, raw[:500]) from error

    def wait_job(self, job: dict[str, Any] | int, within_s: float = 120) -> dict[str, Any]:
        """The job once it has ended, whatever its end."""
        job_id = job if isinstance(job, int) else job["id"]
        until, pause = time.monotonic() + within_s, 0.05
        found: dict[str, Any] = {}
        while True:
            try:
                found = self.api("GET", f"/jobs/{job_id}")
            except ApiError as error:
                if error.status not in {502, 503, 504}:  # the web process is being restarted
                    raise
            if found.get("state") in ENDED:
                return found
            if time.monotonic() > until:
                raise AssertionError(f"job {job_id} has not ended: {found}")
            time.sleep(pause)
            pause = min(0.4, pause * 1.5)  # asking is work too, for the web process

    def done(self, job: dict[str, Any] | int, within_s: float = 120) -> dict[str, Any]:
        """The job, which must succeed."""
        found = self.wait_job(job, within_s)
        if found["state"] != "succeeded":
            raise AssertionError(f"{found['title']}: {found['state']}: {found['error']}\n{found['lines']}")
        return found
