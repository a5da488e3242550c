"""Changing what people say of a host: its name and address, and maintenance."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from hosts.operations.base import HostOperation
from hosts.states import SetupStep, Transport
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.operations import by_name, register
from jobs.run import Run
from virt import ssh

WAY = ("address", "port", "username", "transport")
FIELDS = ("name", "migration_address", *WAY)


@register
class EditHost(HostOperation):
    """Change name, address or account. The pinned keys stay: another machine at the new address is refused by them."""

    name = "hosts.edit"
    verb = gettext_lazy("Change")
    for_managed = None

    def changes(self) -> dict[str, Any]:
        return {
            field: self.params[field]
            for field in FIELDS
            if field in self.params and self.params[field] != getattr(self.target, field)
        }

    def refuse(self) -> None:
        name = self.params.get("name", self.target.name)
        if Host.objects.filter(name__iexact=name).exclude(pk=self.target.pk).exists():
            raise Refused(_("Another host is called so already."), field="name")

    def run(self, run: Run) -> dict[str, Any]:
        self.refuse()
        changes = self.changes()
        for field, value in changes.items():
            run.log(f"{field}: {getattr(self.target, field)} → {value}")
        is_elsewhere = any(field in changes for field in WAY)
        if is_elsewhere:
            ssh.forget(self.target.target)
        if is_elsewhere and not self.target.is_managed:
            changes |= self._begin_again(changes.get("transport", self.target.transport))
        if changes:
            self.store(**changes)
        if is_elsewhere and not self.target.is_managed:
            step = "hosts.probe" if self.target.transport == Transport.SSH else "hosts.preflight"
            enqueue(by_name(step)(self.target), user=run.job.user)
        return {"changed": sorted(changes)}

    def _begin_again(self, transport: str) -> dict[str, Any]:
        """A host that is still being added may be another machine now: nothing that was seen of it counts."""
        step = SetupStep.KEYS if transport == Transport.SSH else SetupStep.CHECK
        return {"setup_step": step, "offered_keys": [], "host_keys": [], "preflight": [], "preflight_at": None}


@register
class SetMaintenance(HostOperation):
    """Maintenance on: no new VMs and no VMs by migration come here. Off: it takes VMs again. Running VMs stay."""

    name = "hosts.maintenance"
    verb = gettext_lazy("Maintenance of")

    def title(self) -> str:
        words = _("Begin maintenance of %(host)s") if self.params.get("on") else _("End maintenance of %(host)s")
        return words % {"host": self.target}

    def run(self, run: Run) -> dict[str, Any]:
        is_on = bool(self.params.get("on"))
        self.store(maintenance=is_on, maintenance_note=str(self.params.get("note", ""))[:200] if is_on else "")
        return {"maintenance": is_on}
