"""Networks on many hosts at once: one job, a part for each host, so that a sick host spoils nothing for the others."""

from typing import Any, ClassVar

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from hosts import sync
from hosts.models import Host, Network
from hosts.operations.base import chosen_hosts
from hosts.states import HostState
from hosts.usage import vms_of
from jobs.engine import enqueue
from jobs.errors import Failed, Refused
from jobs.models import Job
from jobs.operations import Lock, Operation, register
from jobs.run import Run
from jobs.states import State
from virt import networks
from virt.connection import connect
from virt.errors import AlreadyExists, NotFound, VirtError
from virt.xml import network as network_xml
from virt.xml.network import NetworkSpec

VERBS = {
    "define": gettext_lazy("Define %(network)s"),
    "start": gettext_lazy("Start %(network)s"),
    "stop": gettext_lazy("Stop %(network)s"),
    "autostart-on": gettext_lazy("Autostart of %(network)s"),
    "autostart-off": gettext_lazy("No autostart of %(network)s"),
    "remove": gettext_lazy("Remove %(network)s"),
}
CUTTING = {"stop", "remove"}  # VMs that run would lose their connection
VIRSH = {
    "start": ["net-start"],
    "stop": ["net-destroy"],
    "autostart-on": ["net-autostart"],
    "autostart-off": ["net-autostart", "--disable"],
    "remove": ["net-undefine"],
}


class _NetworkOperation(Operation):
    permission = "hosts.manage"
    model = Network
    target_kind = "network"
    target: Network

    @property
    def word(self) -> str:
        """What is to be done: one of VERBS."""
        return str(self.params.get("verb", ""))

    def refuse_word(self) -> None:
        if self.word not in VERBS:
            raise Refused(_("This can't be done to a network."))


@register
class ChangeNetwork(_NetworkOperation):
    """params: verb (define|start|stop|autostart-on|autostart-off|remove), hosts ([] = all that matter), force."""

    name = "networks.change"
    removes_target = True  # with the verb "remove"
    verb = gettext_lazy("Change")
    cancellable = True

    def title(self) -> str:
        return str(VERBS.get(self.word, "%(network)s")) % {"network": self.target}

    def hosts(self) -> list[Host]:
        """Those that were chosen; without a choice all hosts for "define", else all that have the network."""
        keys = list(self.params.get("hosts") or [])
        if not keys and self.word != "define":
            keys = list(self.target.presences.filter(missing_since=None).values_list("host_id", flat=True))
            return chosen_hosts(keys) if keys else []
        return chosen_hosts(keys)

    def refuse(self) -> None:
        self.refuse_word()
        hosts = self.hosts()
        if not hosts and not (self.word == "remove" and not self.params.get("hosts")):
            raise Refused(_("Choose a host."), field="hosts")
        if self.word == "define" and wanted_spec(self.target) is None:
            raise Refused(_("What this network shall be is not known: no host has it."))
        if self.word in CUTTING and not self.params.get("force"):
            alive = [use.name for use in vms_of(self.target, hosts) if use.is_alive]
            if alive:
                raise Refused(
                    _("Running VMs use it: %(names)s. Confirm that they lose their connection.")
                    % {"names": ", ".join(alive[:5])},
                    field="force",
                )

    def run(self, run: Run) -> dict[str, Any] | None:
        begun = set(Job.objects.filter(parent=run.job).values_list("params__host", flat=True))
        for host in self.hosts():
            if host.pk not in begun:
                run.child(ApplyNetwork(self.target, {"verb": self.word, "host": host.pk}))
        return run.wait_for_children()

    def children_ended(self, run: Run) -> dict[str, Any] | None:
        """The result of each host by its name; a network that was removed everywhere is forgotten."""
        names = dict(Host.objects.values_list("pk", "name"))
        result = {
            str(names.get(child.params["host"], "?")): child.error or str(State(child.state).label)
            for child in run.job.children.all()
        }
        if self.word == "remove" and not self.params.get("hosts"):
            if not self.target.presences.filter(missing_since=None).exists():
                self.target.delete()
        return {"hosts": result}


@register
class ApplyNetwork(_NetworkOperation):
    """The part for one host. params: verb, host."""

    name = "networks.apply"
    verb = gettext_lazy("Change")
    UNDO: ClassVar[str] = "defined_by_us"

    def host(self) -> Host:
        host = Host.objects.filter(pk=self.params.get("host") or 0, is_managed=True).first()
        if host is None:
            raise Refused(_("The host no longer belongs to the cluster."))
        return host

    def title(self) -> str:
        words = str(VERBS.get(self.word, "%(network)s")) % {"network": self.target}
        return _("%(what)s on %(host)s") % {"what": words, "host": self.host()}

    def locks(self) -> list[Lock]:
        return [Lock(f"network:{self.target.pk}:host:{self.params.get('host')}")]

    def refuse(self) -> None:
        self.refuse_word()
        self.host()

    def check(self, run: Run) -> None:
        if self.host().observed_state == HostState.FENCED:
            raise Refused(_("The host is off."))

    def run(self, run: Run) -> dict[str, Any]:
        """Raises Failed, VirtError."""
        host, name = self.host(), self.target.name
        if self.word == "define":
            self._define(run, host)
        else:
            command, *options = VIRSH[self.word]
            run.command("virsh", "-c", host.target.shown_uri, command, *options, name)
            try:
                self._do(host, name)
            except NotFound as missing:
                raise Failed(_("The host has no network %(name)s.") % {"name": name}, missing.technical) from missing
        sync.refresh_networks(host)
        if self.word == "remove":
            self.target.presences.filter(host=host).delete()
        return {}

    def _do(self, host: Host, name: str) -> None:
        with connect(host.target) as conn:
            if self.word == "start":
                networks.start(conn, name)
            elif self.word == "stop":
                networks.stop(conn, name)
            elif self.word == "remove":
                networks.remove(conn, name)
            else:
                networks.set_autostart(conn, name, enabled=self.word == "autostart-on")

    def _define(self, run: Run, host: Host) -> None:
        """Defined, autostarted and running, or as before: what can't be started is taken away again."""
        spec = wanted_spec(self.target)
        if spec is None:
            raise Failed(_("What this network shall be is not known: no host has it."))
        uri = host.target.shown_uri
        run.command("virsh", "-c", uri, "net-define", f"{spec.name}.xml")
        run.command("virsh", "-c", uri, "net-autostart", spec.name)
        run.command("virsh", "-c", uri, "net-start", spec.name)
        run.log(network_xml.build(spec))
        with connect(host.target) as conn:
            try:
                is_new = networks.define(conn, spec)
            except AlreadyExists as other:
                message = _("%(host)s has another network of this name: %(what)s")
                raise Failed(message % {"host": host, "what": other.technical}, other.technical) from other
            is_ours = is_new or bool(run.job.result.get(self.UNDO))
            run.keep(**{self.UNDO: is_ours})
            try:
                networks.set_autostart(conn, spec.name, enabled=bool(self.target.spec.get("autostart", True)))
                networks.start(conn, spec.name)
            except VirtError:
                if is_ours:
                    networks.undo_define(conn, spec.name)
                raise


def begin_network(user: User, name: str, mode: str, spec: dict[str, Any], hosts: list[Host]) -> Job:
    """A network that is not there yet, and the job that brings it to these hosts. Raises Refused, PermissionDenied.

    The values as hosts.network_form.NetworkForm gives them.
    """
    with transaction.atomic():
        row = Network.objects.create(name=name, mode=mode, spec=spec)
        return enqueue(ChangeNetwork(row, {"verb": "define", "hosts": [host.pk for host in hosts]}), user=user)


def wanted_spec(network: Network) -> NetworkSpec | None:
    """What the network shall be on every host: as it was defined here, else as the first host that has it says."""
    spec = network.spec
    if spec:
        return NetworkSpec(
            name=network.name,
            mode=network.mode,
            bridge_name=spec.get("bridge", ""),
            ipv4=spec.get("cidr", ""),
            dhcp_start=spec.get("dhcp_start", ""),
            dhcp_end=spec.get("dhcp_end", ""),
            domain=spec.get("domain", ""),
            forward_device=spec.get("forward_device", ""),
        )
    cell = network.presences.filter(missing_since=None).exclude(xml="").order_by("pk").first()
    return networks.without_uuid(cell.xml) if cell is not None else None
