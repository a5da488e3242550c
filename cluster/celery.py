"""The Celery application: `celery -A cluster worker --clock`."""

import os
import warnings
from typing import Any

from celery import Celery, bootsteps
from celery.beat import EmbeddedService
from celery.platforms import SecurityWarning
from click import Option

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cluster.settings")
warnings.simplefilter(
    "ignore", SecurityWarning
)  # of root: it may be root that manages this machine's VMs; tasks are JSON
app = Celery("drover")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


class Clock(bootsteps.StartStopStep):
    """Celery's beat as a thread of the worker: worker -B would fork a process, which outlives a killed worker."""

    def __init__(self, worker: Any, *, clock: bool = False, **options: Any) -> None:
        super().__init__(worker, **options)
        self.enabled = clock
        self.service: Any = None

    def start(self, worker: Any) -> None:
        self.service = EmbeddedService(worker.app, thread=True)
        self.service.start()

    def stop(self, worker: Any) -> None:
        if self.service is not None:
            self.service.stop()


app.user_options["worker"].add(Option(["--clock"], is_flag=True, help="Also give out the periodic jobs (one worker)."))
app.steps["worker"].add(Clock)
