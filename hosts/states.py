"""What is observed of a host."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class HostState(models.TextChoices):
    NEW = "new", _("not yet seen")
    UP = "up", _("up")
    UNREACHABLE = "unreachable", _("no answer")
    REFUSED = "refused", _("refuses us")  # key not accepted, host key changed
    FENCED = "fenced", _("known to be off")  # a person or a fence device said so: nothing runs there


COLOUR = {
    HostState.NEW: "secondary",
    HostState.UP: "green",
    HostState.UNREACHABLE: "red",
    HostState.REFUSED: "red",
    HostState.FENCED: "orange",
}


class Transport(models.TextChoices):
    SSH = "ssh", _("SSH")
    LOCAL = "local", _("this machine")
    TCP = "tcp", _("TCP without encryption (test hosts)")
    TLS = "tls", _("TLS")
    TEST = "test", _("libvirt's simulated host")


class SetupStep(models.TextChoices):
    """What is still to be done before a host belongs to the cluster; "" when nothing is."""

    KEYS = "keys", _("compare the fingerprint")
    LOGIN = "login", _("let Drover in")
    CHECK = "check", _("look the host over")


class Level(models.TextChoices):
    """How one check of the preflight ended."""

    OK = "ok", _("fine")
    WARNING = "warning", _("works, but")
    PROBLEM = "problem", _("problem")


LEVEL_COLOUR = {Level.OK: "green", Level.WARNING: "orange", Level.PROBLEM: "red"}
