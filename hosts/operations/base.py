"""What all operations on a host share."""

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from hosts.models import Host
from hosts.states import HostState
from jobs.errors import Refused, Text
from jobs.operations import Operation
from ui import live

WHILE = {
    HostState.NEW: gettext_lazy("Not possible before it was seen."),
    HostState.UP: gettext_lazy("Not possible while it is up."),
    HostState.UNREACHABLE: gettext_lazy("Not possible while it does not answer."),
    HostState.REFUSED: gettext_lazy("Not possible while it refuses us."),
    HostState.FENCED: gettext_lazy("Not possible while it is known to be off."),
}


class HostOperation(Operation):
    """A verb on one host. `for_managed` says whether the host must belong to the cluster already, or not yet."""

    permission = "hosts.manage"
    model = Host
    target_kind = "host"
    for_managed: ClassVar[bool | None] = True
    target: Host

    @classmethod
    def refusal(cls, user: User, target: Any) -> Text | None:
        if cls.allowed_to(user, target) and cls.allowed_states is not None and target.state not in cls.allowed_states:
            return WHILE[HostState(target.state)]
        reason = super().refusal(user, target)
        if reason is None and cls.for_managed is not None and target.is_managed != cls.for_managed:
            return _("The host is not set up yet.") if cls.for_managed else _("The host is set up already.")
        return reason

    def store(self, **values: Any) -> None:
        """Change columns of the host's row, only these, and tell the pages."""
        for name, value in values.items():
            setattr(self.target, name, value)
        self.target.save(update_fields=list(values))
        live.publish(f"host.{self.target.pk}", "hosts")


def chosen_hosts(keys: list[Any]) -> list[Host]:
    """The managed hosts with these primary keys; all of them for an empty list. Raises Refused if one is gone."""
    rows = Host.objects.filter(is_managed=True)
    if not keys:
        return list(rows)
    found = list(rows.filter(pk__in=keys))
    if len(found) != len(set(keys)):
        raise Refused(_("One of the chosen hosts no longer belongs to the cluster."), field="hosts")
    return found
