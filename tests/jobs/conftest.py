"""The engine inside the test's own process (no worker, no broker), and a whole installation of real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import waiting, work
from jobs.models import Job
from jobs.operations import by_name
from tests.jobs import operations

ROOT = Path(__file__).resolve().parents[2]
SERVE = "import django; django.setup(); import tests.jobs.operations; from tests.jobs.driver import serve; serve()"


@pytest.fixture
def here(db: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Jobs run only when the test says so. The list tells which jobs workers were told of."""
    told: list[int] = []

    def tell(job_ids: Any, *, expires_s: float | None = None) -> None:
        told.extend(job_ids)

    for module in (waiting, work):
        monkeypatch.setattr(module, "dispatch", tell)
    monkeypatch.setattr(work, "_start_heart", lambda: None)
    return told


def ask(name: str, *, user: Any = None, **params: Any) -> Job:
    from jobs.engine import enqueue

    return enqueue(by_name(f"test.{name}")(params=params), user=user)


def done(job: Job) -> Job:
    """Run a job here and now; the row as it is then."""
    work.run(job.pk)
    job.refresh_from_db()
    return job


class Installation:
    """Redis, a database and workers in a folder: what a person's machine runs, without the pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run").mkdir()
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}},
            "DROVER_VAR": str(folder),
            "DJANGO_SETTINGS_MODULE": "cluster.settings",
            "DROVER_WORKERS": "4",
            "PYTHONPATH": str(ROOT),
        }
        self.processes: list[subprocess.Popen[Any]] = []
        self.workers: list[subprocess.Popen[Any]] = []
        self.redis = self.start_redis()
        self.start(sys.executable, "manage.py", "migrate", "-v0").wait()
        self.driver = self.start(sys.executable, "-c", SERVE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, *argv: str, **options: Any) -> "subprocess.Popen[Any]":
        log = (self.folder / "processes.log").open("a")
        process = subprocess.Popen(argv, cwd=ROOT, env=self.environment, stderr=log, **options)
        self.processes.append(process)
        return process

    def start_redis(self) -> "subprocess.Popen[Any]":
        path = self.folder / "run" / "redis.sock"
        words = ["--unixsocket", str(path), "--port", "0", "--save", "", "--loglevel", "warning"]
        redis = self.start("redis-server", *words, stdout=subprocess.DEVNULL)
        until(path.exists)
        return redis

    def start_worker(self, *, clock: bool = True) -> "subprocess.Popen[Any]":
        words = ["celery", "-q", "-A", "tests.jobs.worker", "worker", "--loglevel", "WARNING"]
        words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        worker = self.start(sys.executable, "-m", *words, *(["--clock"] if clock else []))
        self.workers.append(worker)
        return worker

    def ask(self, do: str, **request: Any) -> Any:
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        self.driver.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.driver.stdin.flush()
        line = self.driver.stdout.readline()
        assert line, (self.folder / "processes.log").read_text()[-3000:]
        return json.loads(line)

    def enqueue(self, name: str, **params: Any) -> int:
        return int(self.ask("enqueue", name=f"test.{name}", params=params))

    def job(self, number: int) -> dict[str, Any]:
        return dict(self.ask("job", job=number))

    def until_ended(self, number: int, within_s: float = 60) -> dict[str, Any]:
        until(lambda: self.job(number)["state"] not in {"queued", "running", "waiting"}, within_s)
        return self.job(number)

    def diary(self) -> list[dict[str, Any]]:
        path = self.folder / "diary"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self, processes: "list[subprocess.Popen[Any]]") -> None:
        for process in reversed(processes):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def until(happens: Callable[[], Any], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def whole_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("jobs"))
    try:
        yield made
    finally:
        made.stop(made.processes)


@pytest.fixture
def installation(whole_installation: Installation) -> Iterator[Installation]:
    """The same for all tests of a module, without workers and with an empty diary."""
    yield whole_installation
    whole_installation.stop(whole_installation.workers)
    (whole_installation.folder / "diary").unlink(missing_ok=True)


__all__ = ["Installation", "ask", "done", "operations", "until"]
