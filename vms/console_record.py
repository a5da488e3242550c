"""What consoles tell the audit: opened, refused by the host, closed, and how much went each way."""

from collections.abc import Iterable

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.actions import name
from audit.entries import record
from audit.states import Result, Way
from jobs.errors import Text
from vms.models import ConsoleSession

OPENED, CLOSED = "vms.console_opened", "vms.console_closed"
name(OPENED, gettext_lazy("Open a console"))
name(CLOSED, gettext_lazy("Close a console"))


def opened(session: ConsoleSession, *, reason: Text = "") -> None:
    """With a reason: its host did not give it."""
    _tell(session, OPENED, _("Open console"), Result.FAILED if reason else Result.OK, reason)


def closed(sessions: Iterable[ConsoleSession], *, abandoned: bool = False) -> None:
    reason = _("Its console process was stopped; the figures are the last it told.") if abandoned else ""
    for session in sessions:
        _tell(session, CLOSED, _("Close console"), Result.OK, reason)


def _tell(session: ConsoleSession, action: str, words: Text, result: Result, reason: Text) -> None:
    by_link = session.link.made_by.username if session.link else ""
    details: dict[str, object] = {"line": session.kind, "view_only": session.view_only, "host": session.host_name}
    details |= {"link_of": by_link} if by_link else {}
    if action == CLOSED:
        details |= {"bytes_to_guest": session.bytes_to_guest, "bytes_from_guest": session.bytes_from_guest}
        if session.used_at and session.closed_at:
            details["seconds"] = round((session.closed_at - session.used_at).total_seconds())
    record(
        action,
        f"{words}: {session.vm.name}" + (f" ({_('by a link of %(name)s') % {'name': by_link}})" if by_link else ""),
        by=session.user,
        on=session.vm,
        result=result,
        reason=reason,
        address=session.address or "",
        way=Way.CONSOLE,
        details=details,
    )
