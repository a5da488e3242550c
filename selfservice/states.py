"""The states of a request and the ways between them."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RequestState(models.TextChoices):
    PENDING = "pending", _("pending")
    APPROVED = "approved", _("approved")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("withdrawn")
    BUILDING = "building", _("being built")
    READY = "ready", _("ready")
    FAILED = "failed", _("failed")
    EXPIRING = "expiring", _("expiring")
    EXPIRED = "expired", _("expired")
    ARCHIVED = "archived", _("archived")
    DELETED = "deleted", _("deleted")


S = RequestState
TRANSITIONS: dict[RequestState, frozenset[RequestState]] = {
    S.PENDING: frozenset({S.APPROVED, S.REJECTED, S.WITHDRAWN}),
    S.APPROVED: frozenset({S.BUILDING, S.FAILED}),
    S.BUILDING: frozenset({S.READY, S.FAILED}),
    S.FAILED: frozenset({S.APPROVED, S.READY, S.WITHDRAWN}),  # tried again; content with a part; given up
    S.READY: frozenset({S.EXPIRING, S.EXPIRED, S.DELETED}),
    S.EXPIRING: frozenset({S.READY, S.EXPIRED, S.DELETED}),
    S.EXPIRED: frozenset({S.READY, S.ARCHIVED, S.DELETED}),
    S.ARCHIVED: frozenset({S.READY, S.DELETED}),
}
OVER = frozenset({S.REJECTED, S.WITHDRAWN, S.DELETED})  # nothing comes of it any more
BUSY = frozenset({S.APPROVED, S.BUILDING})
LEASED = frozenset({S.READY, S.EXPIRING})  # its VMs are there to be used
ENDED = frozenset({S.EXPIRED, S.ARCHIVED})  # its lease is over, its VMs are off; it can be extended
LASTING = LEASED | ENDED
COLOUR = {
    S.PENDING: "orange",
    S.APPROVED: "blue",
    S.BUILDING: "blue",
    S.READY: "green",
    S.FAILED: "red",
    S.REJECTED: "red",
    S.WITHDRAWN: "secondary",
    S.EXPIRING: "orange",
    S.EXPIRED: "orange",
    S.ARCHIVED: "secondary",
    S.DELETED: "secondary",
}


class Step(models.TextChoices):
    """What happened to a request."""

    ASKED = "asked", _("asked for")
    APPROVED = "approved", _("approved")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("withdrawn")
    ESCALATED = "escalated", _("not answered in time")
    BEGUN = "begun", _("being built")
    READY = "ready", _("ready")
    FAILED = "failed", _("failed")
    AGAIN = "again", _("tried again")
    GIVEN_UP = "given_up", _("given up")
    DELETED = "deleted", _("deleted")
    # of its lease
    WARNED = "warned", _("ends soon")
    ENDED = "ended", _("ended: shut down")
    ARCHIVED = "archived", _("archived")
    EXTENDED = "extended", _("extended")
    LONGER = "longer", _("more time asked for")
    GRANTED = "granted", _("more time given")
    REFUSED = "refused", _("no more time")
    PINNED = "pinned", _("pinned")
    UNPINNED = "unpinned", _("no longer pinned")
    RETURNED = "returned", _("given back")
    UNUSED = "unused", _("nobody uses it")
    KEPT = "kept", _("still needed")
    HANDED = "handed", _("handed over")
