"""Jobs in real worker processes, with a real Redis: what happens when one of them is killed or away."""

import signal
import time

import pytest

from tests.jobs.conftest import Installation, until

pytestmark = pytest.mark.processes


def overlaps(diary: list[dict[str, object]]) -> bool:
    """Whether one job began before another had ended."""
    running: set[object] = set()
    for line in diary:
        running.add(line["job"]) if line["what"] == "begin" else running.discard(line["job"])
        if len(running) > 1:
            return True
    return False


def test_it_works(installation: Installation) -> None:
    """Five jobs on one VM, asked for before any worker is there, run one after the other, in order, in two workers."""
    file = str(installation.folder / "diary")
    jobs = [installation.enqueue("diary", file=file, seconds=0.2, locks=[["vm:a", 1]]) for _ in range(5)]
    installation.start_worker()
    installation.start_worker(clock=False)
    assert installation.until_ended(jobs[-1])["state"] == "succeeded"
    diary = installation.diary()
    assert [line["job"] for line in diary if line["what"] == "begin"] == jobs
    assert not overlaps(diary)
    assert installation.ask("locks") == []


def test_a_killed_worker(installation: Installation) -> None:
    """kill -9 in the middle: the job runs again, knows it, keeps its lock meanwhile, and ends once."""
    file = str(installation.folder / "diary")
    first = installation.start_worker()
    job = installation.enqueue("diary", file=file, seconds=4, locks=[["vm:a", 1]])
    waiting = installation.enqueue("diary", file=file, locks=[["vm:a", 1]])
    until(lambda: installation.diary())
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert installation.job(job)["state"] == "running", "the row cannot know yet"
    assert installation.ask("locks") == ["vm:a#0"]
    installation.start_worker()
    ended = installation.until_ended(job)
    assert (ended["state"], ended["attempt"], ended["result"]) == ("succeeded", 2, {"repeat": True})
    assert any("looking at what is done" in line for line in ended["lines"])
    assert installation.until_ended(waiting)["state"] == "succeeded"
    whole = [(line["job"], line["what"], line["repeat"]) for line in installation.diary()]
    assert whole == [
        (job, "begin", False),
        (job, "begin", True),
        (job, "end", True),
        (waiting, "begin", False),
        (waiting, "end", False),
    ]


def test_cancel(installation: Installation) -> None:
    installation.start_worker()
    file = str(installation.folder / "diary")
    job = installation.enqueue("diary", file=file, seconds=60)
    until(lambda: installation.diary())
    asked = time.monotonic()
    assert installation.ask("cancel", job=job)
    assert installation.until_ended(job, 20)["state"] == "cancelled"
    assert time.monotonic() - asked < 5
    assert [line["what"] for line in installation.diary()] == ["begin", "cancelled"]


def test_redis_away(installation: Installation) -> None:
    """A job that runs goes on, one asked for meanwhile is kept, and both end after Redis is back."""
    installation.start_worker()
    file = str(installation.folder / "diary")
    running = installation.enqueue("diary", file=file, seconds=3)
    until(lambda: installation.diary())
    installation.redis.send_signal(signal.SIGKILL)
    installation.redis.wait()
    (installation.folder / "run" / "redis.sock").unlink(missing_ok=True)
    asked = installation.enqueue("diary", file=file)
    assert installation.until_ended(running)["state"] == "succeeded"
    assert installation.job(asked)["state"] == "queued"
    installation.start_redis()
    assert installation.until_ended(asked)["state"] == "succeeded"
    assert len(installation.diary()) == 4, "nothing ran twice"


def test_parts_in_several_workers(installation: Installation) -> None:
    installation.start_worker()
    parent = installation.enqueue("family", parts=["fine"] * 6)
    ended = installation.until_ended(parent)
    assert (ended["state"], ended["result"]) == ("succeeded", {"sum": 6})
