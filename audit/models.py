"""The record of who did what. Rows are only added; the chain of their digests shows whether they stayed as they were.

An entry refers to no other row: what it names may go, the entry stays true. People and jobs are named by their primary
keys, which no database of ours gives a second time.
"""

from typing import Any

from django.db import models
from django.utils import timezone

from audit.states import COLOUR, Result, Way


class Entry(models.Model):
    """Somebody did something to something. Written with the change, sealed after it (`audit.chain`)."""

    at = models.DateTimeField(default=timezone.now)
    who = models.CharField(max_length=150, blank=True)  # "": Drover itself, or nobody who is known
    person_key = models.BigIntegerField(null=True)
    address = models.CharField(max_length=45, blank=True)
    way = models.CharField(max_length=8, choices=Way.choices, default=Way.DROVER)
    action = models.CharField(max_length=60)  # a stable key: "vms.start", "access.login"
    text = models.CharField(max_length=250)  # "Start web-07"
    kind = models.CharField(max_length=20, blank=True)  # "vm", "host", "pool", "person", ...
    key = models.CharField(max_length=40, blank=True)  # a VM's UUID, another's primary key
    label = models.CharField(max_length=200, blank=True)
    result = models.CharField(max_length=9, choices=Result.choices, default=Result.OK)
    reason = models.TextField(blank=True)
    job_number = models.BigIntegerField(null=True)
    details = models.JSONField(default=dict)  # never a secret

    number = models.BigIntegerField(null=True, unique=True)  # its place in the chain; None: not sealed yet
    previous = models.CharField(max_length=64, blank=True)  # the digest of the entry before it
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["at", "id"], name="audit_at"),
            models.Index(fields=["who", "at", "id"], name="audit_who"),
            models.Index(fields=["person_key", "at", "id"], name="audit_person"),
            models.Index(fields=["action", "at", "id"], name="audit_action"),
            models.Index(fields=["kind", "at", "id"], name="audit_kind"),
            models.Index(fields=["kind", "key", "at", "id"], name="audit_thing"),
            models.Index(fields=["result", "at", "id"], name="audit_result"),
            models.Index(fields=["id"], name="audit_unsealed", condition=models.Q(number__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.number or '–'} {self.text}"

    @property
    def colour(self) -> str:
        return COLOUR[Result(self.result)]

    def facts(self) -> dict[str, Any]:
        """What its digest is made of, as the database gives it back."""
        return {name: getattr(self, name) for name in FACTS}


FACTS = (
    "number",
    "at",
    "who",
    "person_key",
    "address",
    "way",
    "action",
    "text",
    "kind",
    "key",
    "label",
    "result",
    "reason",
    "job_number",
    "details",
)


class Chain(models.Model):
    """One row: where the chain ends and, since old entries go, where it begins. Signed; who seals holds its lock."""

    number = models.BigIntegerField(default=0)  # of the newest sealed entry
    digest = models.CharField(max_length=64, blank=True)
    anchor_number = models.BigIntegerField(default=0)  # of the newest entry that retention took away
    anchor_digest = models.CharField(max_length=64, blank=True)
    signature = models.CharField(max_length=64, blank=True)
