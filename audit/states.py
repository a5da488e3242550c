"""What an entry can say: how it ended, and by which way it came."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Result(models.TextChoices):
    OK = "ok", _("done")
    ACCEPTED = "accepted", _("begun")  # a job: its end is an entry of its own
    REFUSED = "refused", _("refused")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


class Way(models.TextChoices):
    PAGE = "page", _("page")
    API = "api", _("API")
    CONSOLE = "console", _("console")
    COMMAND = "command", _("command line")
    DROVER = "drover", _("Drover itself")


COLOUR = {
    Result.OK: "green",
    Result.ACCEPTED: "blue",
    Result.REFUSED: "orange",
    Result.FAILED: "red",
    Result.CANCELLED: "secondary",
}
