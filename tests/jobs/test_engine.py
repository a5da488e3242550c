"""Jobs from enqueue to their truthful end, in this process."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.utils import timezone

from access.models import User
from hosts.models import Host
from jobs import care, work
from jobs.engine import cancel, enqueue
from jobs.models import Job, JobLine, JobLock
from jobs.operations import by_name
from jobs.states import State
from jobs.waiting import WORKER, claim, runnable
from tests.jobs.conftest import ask, done
from tests.jobs.operations import Fine

LONG_AGO = timedelta(seconds=60)


def age(job: Job, **fields: Any) -> None:
    Job.objects.filter(pk=job.pk).update(**fields)


def test_it_works(here: list[int], admin: User) -> None:
    job = done(ask("fine", user=admin))
    assert (job.state, job.user, job.attempt, job.percent) == (State.SUCCEEDED, admin, 1, 100.0)
    assert job.result == {"answer": 42}
    assert job.commands == ["virsh list --title 'a b'"]
    assert job.series == [{"left": 12}]
    assert [line.text for line in job.lines.all()] == ["first line"]
    assert job.started_at
    assert job.finished_at
    assert job.worker == WORKER


def test_only_who_may(here: list[int], lab_user: User) -> None:
    with pytest.raises(PermissionDenied):
        ask("fine", user=lab_user)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("how", "state", "error", "technical"),
    [
        ("refused", State.FAILED, "No room there.", ""),
        ("failed", State.FAILED, "It went wrong.", "errno 5"),
        ("virt", State.FAILED, "The host said no.", "libvirt: -1"),
        ("cancelled", State.CANCELLED, "Cancelled.", ""),
    ],
)
def test_bad_ends_are_told_in_plain_words(here: list[int], how: str, state: State, error: str, technical: str) -> None:
    job = done(ask("bad", how=how))
    assert (job.state, job.error, job.technical) == (state, error, technical)
    assert "cleaned up" in job.lines.values_list("text", flat=True)


def test_a_bug_is_said_to_be_ours(here: list[int]) -> None:
    job = done(ask("bad", how="bug"))
    assert job.state == State.ERRORED
    assert "Drover made a mistake: KeyError: 'disk'" in job.error
    assert "Traceback" in job.technical


def test_a_cleanup_that_raises_does_not_keep_the_job_from_ending(here: list[int]) -> None:
    job = done(ask("bad", how="failed", cleanup="raises", locks=[["vm:a", 1]]))
    assert (job.state, job.error) == (State.FAILED, "It went wrong.")
    assert "errno 5" in job.technical
    assert "ZeroDivisionError" in job.technical
    assert not JobLock.objects.exists()


def test_a_target_that_is_gone(here: list[int]) -> None:
    host = Host.objects.create(name="vmhost1")
    job = enqueue(by_name("test.on_host")(host), user=None)
    host.delete()
    assert done(job).error == "vmhost1 no longer exists."


def test_a_repeated_removal_that_finds_nothing_left_succeeded(here: list[int]) -> None:
    host = Host.objects.create(name="vmhost1")
    job = enqueue(by_name("test.on_host")(host), user=None)
    claim(job.pk)
    host.delete()
    age(job, heartbeat_at=timezone.now(), worker="elsewhere:1:1")
    job.refresh_from_db()
    assert work.again(job, "stopped")
    assert done(job).state == State.SUCCEEDED


# --- locks -----------------------------------------------------------------------------------------------------------


def test_jobs_on_the_same_thing_wait_for_each_other(here: list[int]) -> None:
    first, second = (ask("fine", locks=[["vm:a", 1]]) for _ in range(2))
    other = ask("fine", locks=[["vm:b", 1]])
    assert runnable() == [first.pk, other.pk]
    assert claim(second.pk) is None
    assert claim(first.pk) is not None
    assert runnable() == [other.pk]


def test_as_many_as_the_limit_says(here: list[int]) -> None:
    jobs = [ask("fine", locks=[["move:1", 2]]) for _ in range(3)]
    assert runnable() == [jobs[0].pk, jobs[1].pk]
    assert claim(jobs[0].pk)
    assert claim(jobs[1].pk)
    assert set(JobLock.objects.values_list("key", flat=True)) == {"move:1#0", "move:1#1"}
    assert claim(jobs[2].pk) is None
    Job.objects.filter(pk=jobs[0].pk).delete()
    assert claim(jobs[2].pk)
    assert JobLock.objects.get(job=jobs[2]).key == "move:1#0"


def test_who_waits_for_two_is_not_overtaken_for_ever(here: list[int]) -> None:
    holder = ask("fine", locks=[["vm:a", 1]])
    claim(holder.pk)
    both = ask("fine", locks=[["vm:a", 1], ["vm:b", 1]])
    late = ask("fine", locks=[["vm:b", 1]])
    assert runnable() == []
    Job.objects.filter(pk=holder.pk).delete()
    assert runnable() == [both.pk]
    assert late.pk not in runnable()


def test_the_end_frees_the_locks_and_wakes_who_waits(here: list[int]) -> None:
    first, second = (ask("fine", locks=[["vm:a", 1]]) for _ in range(2))
    here.clear()
    done(first)
    assert not JobLock.objects.exists()
    assert here == [second.pk]


# --- cancel ----------------------------------------------------------------------------------------------------------


def test_cancel_before_the_start_puts_right_what_was_written(here: list[int], admin: User) -> None:
    job = ask("bad", how="failed")
    assert cancel(job, admin)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.CANCELLED, 0)
    assert set(job.lines.values_list("text", flat=True)) == {"Cancelled by ada before it began.", "cleaned up"}
    assert claim(job.pk) is None


def test_a_running_job_is_asked(here: list[int], admin: User) -> None:
    job = ask("bad", how="failed")
    claim(job.pk)
    assert cancel(job, admin)
    assert not cancel(job, admin), "once is enough"
    job.refresh_from_db()
    assert (job.state, job.can_cancel) == (State.RUNNING, False)


def test_what_cannot_be_cancelled_is_not(here: list[int], admin: User) -> None:
    job = ask("fine")
    claim(job.pk)
    assert not cancel(job, admin)


def test_a_job_that_waits_to_be_repeated_is_not_just_dropped(here: list[int], admin: User) -> None:
    """It may hold half-made things and its locks: the next run is told, and is what ends it."""
    job = ask("bad", how="cancelled", locks=[["vm:a", 1]])
    claimed = claim(job.pk)
    assert claimed
    work.again(claimed, "stopped")
    assert cancel(job, admin)
    job.refresh_from_db()
    assert (job.state, JobLock.objects.count()) == (State.QUEUED, 1)
    assert done(job).state == State.CANCELLED
    assert not JobLock.objects.exists()


# --- parents ---------------------------------------------------------------------------------------------------------


def family(*parts: str, end: str = "") -> Job:
    parent = done(ask("family", parts=list(parts), end=end))
    assert parent.state == (State.WAITING if parts else State.SUCCEEDED)
    return parent


def run_parts(parent: Job) -> Job:
    for part in parent.children.order_by("id"):
        done(part)
    parent.refresh_from_db()
    return parent


def test_a_parent_ends_with_its_last_part(here: list[int]) -> None:
    parent = family("fine", "fine", "fine")
    parts = list(parent.children.all())
    done(parts[0])
    parent.refresh_from_db()
    assert (parent.state, round(parent.percent or 0), parent.step) == (State.WAITING, 33, "1 of 3 done")
    assert run_parts(parent).state == State.SUCCEEDED
    assert parent.result == {"sum": 3}


def test_a_parent_without_parts_is_done(here: list[int]) -> None:
    assert family().result == {"sum": 0}


@pytest.mark.parametrize(
    ("parts", "end", "state", "error"),
    [
        (["fine", "failed"], "", State.FAILED, "1 of 2 parts failed; see each for its reason."),
        (["fine", "cancelled"], "", State.FAILED, "1 of 2 parts were cancelled."),
        (["fine"], "failed", State.FAILED, "Some stayed."),
        (["failed", "failed"], "failed", State.FAILED, "2 of 2 parts failed; see each for its reason."),
        (["fine"], "bug", State.ERRORED, "Drover made a mistake: KeyError: 'sum'"),
    ],
)
def test_a_parent_says_how_its_parts_ended(
    here: list[int], parts: list[str], end: str, state: State, error: str
) -> None:
    parent = run_parts(family(*parts, end=end))
    assert (parent.state, parent.error) == (state, error)
    assert not JobLock.objects.exists()


def test_cancelling_a_parent_cancels_its_parts(here: list[int], admin: User) -> None:
    parent = family("fine", "failed")
    assert cancel(parent, admin)
    parent.refresh_from_db()
    assert parent.state == State.CANCELLED
    assert set(parent.children.values_list("state", flat=True)) == {State.CANCELLED}


def test_cancelled_while_the_parts_were_being_made(here: list[int], admin: User) -> None:
    parent = ask("family", parts=["fine"])
    age(parent, cancel_requested_at=timezone.now(), attempt=1)  # a repeated run, which looks itself when it may stop
    assert done(parent).state == State.CANCELLED


# --- dead workers ----------------------------------------------------------------------------------------------------


def claimed(**fields: Any) -> Job:
    job = ask("fine", locks=[["vm:a", 1]])
    claim(job.pk)
    age(job, **fields)
    return job


def test_a_job_of_a_process_that_is_gone_runs_again_at_once(here: list[int]) -> None:
    job = claimed(worker=WORKER.rpartition(":")[0] + ":12345")  # our pid, but another process had it
    care.look_after()
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.QUEUED, 1)
    assert JobLock.objects.filter(job=job).exists(), "nobody else may touch the VM meanwhile"
    assert "looking at what is done" in job.lines.get().text
    assert done(job).attempt == 2
    assert job.state == State.SUCCEEDED


def test_silence_is_first_suspected_and_then_believed(here: list[int]) -> None:
    """After the database was away, living workers have old heartbeats too: their jobs must not run twice."""
    job = claimed(worker="elsewhere:1:1", heartbeat_at=timezone.now() - LONG_AGO)
    care.look_after()
    job.refresh_from_db()
    assert (job.state, job.suspected_at is not None) == (State.RUNNING, True)
    age(job, suspected_at=timezone.now() - timedelta(seconds=8))
    care.look_after()
    job.refresh_from_db()
    assert job.state == State.QUEUED


def test_who_beats_again_is_not_dead(here: list[int]) -> None:
    now = timezone.now()
    job = claimed(worker="elsewhere:1:1", heartbeat_at=now - timedelta(seconds=20), suspected_at=now - LONG_AGO)
    care.look_after()
    job.refresh_from_db()
    assert job.state == State.RUNNING
    assert job.suspected_at
    assert job.suspected_at > now - timedelta(seconds=10), "suspected anew, from now"


def test_three_times_is_enough(here: list[int]) -> None:
    job = claimed(worker="elsewhere:1:1", attempt=3, suspected_at=timezone.now() - LONG_AGO, heartbeat_at=None)
    care.look_after()
    job.refresh_from_db()
    assert (job.state, JobLock.objects.count()) == (State.FAILED, 0)
    assert "Interrupted 3 times" in job.error


def test_an_operation_nobody_knows_any_more_stops_nothing_else(here: list[int]) -> None:
    lost = claimed(worker="elsewhere:1:1", attempt=3, suspected_at=timezone.now() - LONG_AGO, heartbeat_at=None)
    age(lost, operation="test.of_another_version")
    parent = family("fine")
    Job.objects.filter(parent=parent).update(state=State.SUCCEEDED)
    care.look_after()
    lost.refresh_from_db()
    parent.refresh_from_db()
    assert (lost.state, parent.state) == (State.FAILED, State.SUCCEEDED)


def test_an_end_is_not_written_over_what_another_worker_does(here: list[int], monkeypatch: Any) -> None:
    job = ask("fine", locks=[["vm:a", 1]])

    def overtaken(self: Fine, run: Any) -> None:
        age(job, worker="elsewhere:1:1", attempt=2)

    monkeypatch.setattr(Fine, "run", overtaken)
    assert done(job).state == State.RUNNING
    assert JobLock.objects.filter(job=job).exists()


def test_the_database_away_in_a_run_means_a_repeated_run(here: list[int], monkeypatch: Any) -> None:
    calls: list[bool] = []

    def run(self: Fine, run: Any) -> None:
        calls.append(run.is_repeat)
        if len(calls) == 1:
            raise OperationalError("server closed the connection")

    monkeypatch.setattr(Fine, "run", run)
    job = done(ask("fine"))
    assert job.state == State.QUEUED
    assert done(job).state == State.SUCCEEDED
    assert calls == [False, True]
    assert "The database did not answer" in job.lines.get().text


def test_storing_the_end_is_insisted_on(here: list[int], monkeypatch: Any) -> None:
    store, failures = work._store_end, [OperationalError("away"), OperationalError("away")]

    def flaky(job: Job) -> bool:
        if failures:
            raise failures.pop()
        return store(job)

    monkeypatch.setattr(work, "_store_end", flaky)
    monkeypatch.setattr(work.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(work.connection, "close", lambda: None)
    assert done(ask("fine")).state == State.SUCCEEDED
    assert not failures


# --- retention -------------------------------------------------------------------------------------------------------


def test_old_jobs_go_with_their_parts_and_lines(here: list[int]) -> None:
    old = run_parts(family("fine", "fine"))
    running_parent = family("fine", "fine")
    young_part = running_parent.children.first()
    assert young_part
    done(young_part)
    young = done(ask("fine"))
    long_ago = timezone.now() - timedelta(days=400)
    age(old, finished_at=long_ago)
    age(young_part, finished_at=long_ago)
    care.forget_old(365)
    assert set(Job.objects.filter(parent=None)) == {running_parent, young}
    assert running_parent.children.count() == 2, "a part stays as long as its parent"
    assert not JobLine.objects.filter(job=old.pk).exists()
