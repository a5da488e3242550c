"""What can be recorded, by its stable key: for the filter, and in the words of the page."""

from django.utils.translation import gettext_lazy as _

from ui.text import Text

ACTIONS: dict[str, Text] = {
    "access.login": _("Log in"),
    "access.logout": _("Log out"),
    "access.locked_out": _("Locked out"),
    "access.password_asked": _("Password asked again"),
    "access.invitation_used": _("Join by an invitation"),
    "access.factor_added": _("New second factor"),
    "access.factor_removed": _("Remove second factor"),
    "access.session_ended": _("End a session"),
    "access.password": _("Change password"),
    "access.token_used": _("API token used from a new address"),
    "access.forbidden": _("Something without the right to it"),
    "audit.export": _("Export the audit"),
    "audit.forget": _("Forget old entries"),
    "audit.restart": _("Accept the audit as it is"),
}


def name(key: str, words: Text) -> None:
    """Make an action known; rooms do this when they are loaded."""
    ACTIONS.setdefault(key, words)


def choices() -> list[tuple[str, Text]]:
    """All that are known, grouped by room as their keys are."""
    return [(key, f"{words} ({key.partition('.')[0]})") for key, words in sorted(ACTIONS.items())]
