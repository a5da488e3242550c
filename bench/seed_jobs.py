"""What has been done in the large cluster: ended jobs with logs, and some that run or wait."""

from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.models import Job, JobLine
from jobs.states import State

if TYPE_CHECKING:
    from bench.seed import Cluster

KINDS = ("vms.start", "vms.shutdown", "vms.reboot", "vms.create", "vms.migrate", "vms.resize")
ENDS = [State.SUCCEEDED] * 17 + [State.FAILED] * 2 + [State.CANCELLED]
SAMPLE = {"total": 4 << 30, "remaining": 1 << 30, "speed": 110_000_000, "iteration": 2}


def add_jobs(made: "Cluster", count: int) -> None:
    rows = [_job(made, number, count) for number in range(count)]
    jobs = Job.objects.bulk_create(rows, batch_size=500)
    JobLine.objects.bulk_create(
        (JobLine(job=job, text=text) for job in jobs for text in ("Looking at both hosts.", "Moving memory.", "Done.")),
        batch_size=2000,
    )


def _job(made: "Cluster", number: int, count: int) -> Job:
    host = made.hosts[number % len(made.hosts)]
    at = made.now - timedelta(minutes=count - number)
    kind = KINDS[number % len(KINDS)]
    is_active = number >= count - 15
    state = (State.RUNNING if number % 3 else State.QUEUED) if is_active else made.random.choice(ENDS)
    return Job(
        operation=kind,
        title=f"{kind.removeprefix('vms.').title()} web-{number:05}",
        user=made.random.choice(made.users),
        target_kind="host",
        target_key=str(host.pk),
        target_label=host.name,
        params={"host": host.pk, "bandwidth": 0, "auto_converge": True},
        locks=[[f"host:{host.pk}", 2]],
        state=state,
        percent=55.0 if is_active else 100.0,
        detail=SAMPLE,
        series=[SAMPLE] * 60 if kind == "vms.migrate" else [],
        commands=["virsh migrate --live --p2p web qemu+ssh://root@kvm-001/system"] * 3,
        error="The host did not answer in time." if state == State.FAILED else "",
        created_at=at,
        started_at=None if state == State.QUEUED else at,
        finished_at=None if is_active else at + timedelta(seconds=20),
        heartbeat_at=made.now,
    )
