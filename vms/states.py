"""States of a VM. Observed (libvirt's virDomainState), and the words people read."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class VmState(models.TextChoices):
    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    SHUTTING_DOWN = "shutting-down", _("shutting down")
    OFF = "off", _("off")
    CRASHED = "crashed", _("crashed")
    SUSPENDED = "suspended", _("suspended")  # by guest power management
    BLOCKED = "blocked", _("blocked")
    CREATING = "creating", _("being made")  # no host has seen it yet
    UNKNOWN = "unknown", _("unknown")


COLOUR = {
    VmState.RUNNING: "green",
    VmState.PAUSED: "cyan",
    VmState.SHUTTING_DOWN: "orange",
    VmState.OFF: "secondary",
    VmState.CRASHED: "red",
    VmState.SUSPENDED: "cyan",
    VmState.BLOCKED: "orange",
    VmState.CREATING: "blue",
    VmState.UNKNOWN: "red",
}

ALIVE = frozenset({VmState.RUNNING, VmState.PAUSED, VmState.SHUTTING_DOWN, VmState.SUSPENDED, VmState.BLOCKED})
STARTABLE = frozenset({VmState.OFF, VmState.CRASHED})
