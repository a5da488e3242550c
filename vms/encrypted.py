"""What is known of encrypted migration between two hosts before they are asked. Database only."""

from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy

from hosts.models import Host
from jobs.errors import Refused
from ui.text import Sentence
from ui.text import Words as _

CURE = gettext_lazy("“Set up encrypted migration” on the Hosts page makes certificates for all hosts.")


def why_no_certificate(host: Host) -> Sentence:
    """Why this host can't take part in encrypted migration, as it was last read; "" if it can."""
    if host.certificate_is_valid:
        return ""
    if host.certificate_until is None:
        return _("%(host)s has no certificate for encrypted migration.") % {"host": host}
    day = localtime(host.certificate_until).date().isoformat()
    return _("The certificate of %(host)s for encrypted migration ended on %(day)s.") % {"host": host, "day": day}


def why_no_tls(source: Host | None, destination: Host) -> Sentence:
    """Why a VM can't go encrypted from one host to the other; "" if it can, or if only the move itself will tell.

    Hosts that are not reached by SSH can't be looked at.
    """
    if source is None or not (source.has_ssh and destination.has_ssh):
        return ""
    return why_no_certificate(source) or why_no_certificate(destination)


def refuse_no_tls(source: Host | None, destination: Host) -> None:
    """Raise Refused for the field "transport" if it is known that the VM can't go encrypted."""
    if reason := why_no_tls(source, destination):
        raise Refused(f"{reason} {CURE}", field="transport")
