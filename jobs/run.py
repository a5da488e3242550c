"""What an operation holds while it runs: progress, log, commands, cancel."""

import logging
import shlex
import threading
import time
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from jobs.errors import Cancelled
from jobs.models import Job, JobLine
from ui import live

if TYPE_CHECKING:
    from jobs.operations import Operation

log = logging.getLogger(__name__)
SAVE_EVERY_S = 1.0  # progress goes to pages at once, to the database this often
SERIES_LENGTH = 240


class Children(dict[str, Any]):
    """Returned by a run whose job ends when its children have ended."""


class Run:
    """One run of one job. Its methods are safe from several threads of the run."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cancel_asked = threading.Event()  # set by the worker's heartbeat
        self._lock = threading.Lock()
        self._saved_at = 0.0

    @property
    def is_repeat(self) -> bool:
        """Whether an earlier run of this job was interrupted by the death of its worker."""
        return self.job.attempt > 1

    def topics(self) -> list[str]:
        topics = [f"job.{self.job.pk}", "jobs"]
        if self.job.target_kind and self.job.target_key:
            topics.append(f"{self.job.target_kind}.{self.job.target_key}")
        return topics

    def progress(self, percent: float | None, step: str = "", *, sample: bool = False, **detail: Any) -> None:
        """Tell pages how far it is. percent 0..100 or None for "unknown"; detail: JSON numbers and texts.

        sample=True also keeps the detail in the job's series, for a chart.
        """
        job = self.job
        with self._lock:
            job.percent = None if percent is None else max(0.0, min(100.0, float(percent)))
            job.step = step or job.step
            job.detail = detail or job.detail
            if sample:
                job.series.append(detail)
                if len(job.series) > SERIES_LENGTH:
                    job.series = job.series[::2]
            live.publish(f"job.{job.pk}", job=job.pk, percent=job.percent, step=job.step, detail=detail)
            if time.monotonic() - self._saved_at >= SAVE_EVERY_S:
                self._save("percent", "step", "detail", "series")

    def _save(self, *fields: str) -> None:
        self._saved_at = time.monotonic()
        try:
            self.job.save(update_fields=fields)
        except (
            OperationalError,
            InterfaceError,
        ) as error:  # the database is away for a while: the end of the job will wait for it
            log.warning("job %s: progress not stored: %s", self.job.pk, error)

    def log(self, text: str, level: str = "info") -> None:
        """Add a line to the job's log. Never a secret."""
        try:
            JobLine.objects.create(job=self.job, text=text, level=level, at=timezone.now())
        except (OperationalError, InterfaceError) as error:
            log.warning("job %s: line not stored (%s): %s", self.job.pk, error, text)
        live.publish(f"job.{self.job.pk}", line=text, level=level)

    def warn(self, text: str) -> None:
        self.log(text, "warning")

    def command(self, *argv: str) -> None:
        """Note the command that would do the same by hand: words, or one text with pipes and the like.

        Secrets are masked by the caller.
        """
        text = shlex.join(argv) if len(argv) > 1 else argv[0]
        with self._lock:
            if text not in self.job.commands:
                self.job.commands.append(text)
                self._save("commands")

    def check_cancel(self) -> None:
        """Raise Cancelled if somebody asked for it. Call it where stopping leaves nothing half-made."""
        if self.cancel_asked.is_set():
            raise Cancelled

    def keep(self, **values: Any) -> None:
        """Store facts that a repeated run needs (such as names it made), before acting on them."""
        with self._lock:
            self.job.result = {**self.job.result, **values}
            self.job.save(update_fields=["result"])

    def child(self, operation: "Operation", **kwargs: Any) -> Job:
        """Enqueue a part of this job; see `wait_for_children`."""
        from jobs.engine import enqueue

        return enqueue(operation, user=self.job.user, parent=self.job, **kwargs)

    def wait_for_children(self) -> Children:
        """Return this from `run`: the job ends when all its children have ended (Operation.children_ended)."""
        return Children()
