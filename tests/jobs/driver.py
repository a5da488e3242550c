"""Asks for jobs in a process of its own, in the installation DROVER_VAR names: a JSON request a line, a JSON answer."""

import json
import sys
from typing import Any

from jobs import care
from jobs.engine import cancel, enqueue
from jobs.models import Job, JobLock
from jobs.operations import by_name


def answer(request: dict[str, Any]) -> Any:
    match request["do"]:
        case "enqueue":
            return enqueue(by_name(request["name"])(params=request["params"]), user=None).pk
        case "job":
            job = Job.objects.get(pk=request["job"])
            lines = list(job.lines.values_list("text", flat=True))
            return {
                "state": job.state,
                "attempt": job.attempt,
                "result": job.result,
                "error": job.error,
                "lines": lines,
            }
        case "cancel":
            return cancel(Job.objects.get(pk=request["job"]), None)
        case "locks":
            return sorted(JobLock.objects.values_list("key", flat=True))
        case "look_after":
            return care.look_after()
    raise ValueError(request["do"])


def serve() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
