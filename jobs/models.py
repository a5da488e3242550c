"""Every change is a row here: who, what, on what, with which parameters, progress, log, result."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone

from access.reach import Reach
from jobs.states import ACTIVE, COLOUR, State
from ui.addresses import address


class Job(models.Model):
    """One change. Written before its first action; ends truthfully whatever is killed (jobs.work, jobs.care)."""

    operation = models.CharField(max_length=60)  # registered name: "vms.start"
    title = models.CharField(max_length=200)  # "Start web-07"
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="jobs")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    target_kind = models.CharField(max_length=20, blank=True)  # "vm", "host", "pool", "image", "network"
    target_key = models.CharField(max_length=40, blank=True)  # a VM's UUID, another's primary key
    target_label = models.CharField(max_length=200, blank=True)
    params = models.JSONField(default=dict)  # never a secret: see jobs.secrets
    locks = models.JSONField(default=list)  # [[key, how many may hold it at once], ...]

    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    percent = models.FloatField(null=True)
    step = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)  # the last progress sample, for pages opened meanwhile
    series = models.JSONField(default=list)  # progress samples for a chart, thinned out
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)  # in the user's words
    technical = models.TextField(blank=True)  # what libvirt or ssh said; a traceback if it was our bug
    commands = models.JSONField(default=list)  # the same by hand (law 7), secrets masked

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    cancellable = models.BooleanField(default=False)
    worker = models.CharField(max_length=100, blank=True)
    heartbeat_at = models.DateTimeField(null=True)
    suspected_at = models.DateTimeField(null=True)  # its worker is silent since before this (jobs.care)
    attempt = models.PositiveSmallIntegerField(default=0)

    reach = Reach("jobs.all", owner="user", has_target=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["target_kind", "target_key", "-id"]),
            models.Index(fields=["state", "id"]),
            models.Index(fields=["user", "-id"]),
            models.Index(fields=["operation", "-id"]),
            models.Index(fields=["state", "finished_at"]),
            # the few that have not ended, which every page shows, among years of those that have
            models.Index(fields=["parent", "id"], name="job_active", condition=models.Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.title}"

    def get_absolute_url(self) -> str:
        return address("jobs:detail", self.pk)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def colour(self) -> str:
        return COLOUR[State(self.state)]

    @property
    def waited_until(self) -> datetime | None:
        return self.started_at or self.finished_at

    @property
    def repeats(self) -> int:
        return max(0, self.attempt - 1)

    @property
    def can_cancel(self) -> bool:
        if self.cancel_requested_at or not self.is_active:
            return False
        return self.state == State.QUEUED or self.cancellable


class JobLine(models.Model):
    """One line of a job's log."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField(default=timezone.now)
    level = models.CharField(max_length=10, default="info")  # info, warning, error
    text = models.TextField()

    class Meta:
        ordering = ["id"]


class JobLock(models.Model):
    """What a running job holds. The unique key is what keeps jobs on one VM from overlapping."""

    key = models.CharField(max_length=120, unique=True)  # "vm:<uuid>#0": the number is the place of several
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="held_locks")
