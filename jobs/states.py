"""The states of a job and the ways between them."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    WAITING = "waiting", _("waiting for its parts")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")  # expected: told to the user
    ERRORED = "errored", _("errored")  # our bug: with traceback
    CANCELLED = "cancelled", _("cancelled")


ACTIVE = frozenset({State.QUEUED, State.RUNNING, State.WAITING})
ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.ERRORED, State.CANCELLED})

# A running job whose worker died goes back to queued and is run again (operations look first at what is done).
TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.QUEUED, State.WAITING}) | ENDED,
    State.WAITING: ENDED,
}
COLOUR = {
    State.QUEUED: "secondary",
    State.RUNNING: "blue",
    State.WAITING: "blue",
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.ERRORED: "red",
    State.CANCELLED: "orange",
}
