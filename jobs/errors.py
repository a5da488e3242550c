"""How an operation ends badly on purpose."""

from django.utils.functional import Promise

Text = str | Promise


class Refused(Exception):
    """A check said no before anything was changed: what is wrong, where, and what to do about it.

    `field` names the form field that the message belongs to, "" for the form as a whole.
    """

    def __init__(self, message: Text, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Failed(Exception):
    """An expected failure while running: `message` for the user, `technical` for who wants to look deeper."""

    def __init__(self, message: Text, technical: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.technical = technical


class Cancelled(Exception):
    """The job noticed that somebody asked to cancel it, and has undone what it began."""
