"""What is different on PostgreSQL: several machines start at the same moment, and claim jobs at the same moment."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from access.models import Role, User
from jobs.models import Job
from jobs.states import State
from jobs.waiting import claim

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What the calls return when their threads begin together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def test_two_first_starts_make_one_administrator(settings: Any) -> None:
    settings.LOCAL_HOST = False
    assert connection.vendor == "postgresql"
    at_once(*[lambda: call_command("setup", json=True, stdout=io.StringIO())] * 2)
    assert User.objects.filter(role=Role.ADMINISTRATOR).count() == 1


def test_one_of_many_workers_gets_a_job(admin: User) -> None:
    job = Job.objects.create(operation="hosts.common_cpu", title="x", user=admin, locks=[["cluster:cpu", 1]])
    claimed = at_once(*[lambda: claim(job.pk)] * 8)
    assert len([found for found in claimed if found is not None]) == 1
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.RUNNING, 1)


def test_jobs_on_the_same_lock_are_claimed_one_by_one(admin: User) -> None:
    jobs = [
        Job.objects.create(operation="hosts.common_cpu", title=str(n), user=admin, locks=[["vm:1", 1]])
        for n in range(4)
    ]
    at_once(*[partial(claim, job.pk) for job in jobs])
    assert Job.objects.filter(state=State.RUNNING).count() == 1
    assert jobs[0].held_locks.count() == 1
