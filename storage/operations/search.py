"""Asking a storage server, through a host, what it offers for pools."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from hosts.states import HostState
from jobs.errors import Failed, Refused
from jobs.operations import Operation, register
from jobs.run import Run
from storage.backends import Backend, backend_of
from virt import names, pools
from virt.connection import connect


@register
class SearchServer(Operation):
    """params: kind, server, hosts (primary keys: the first that answers asks). Result: offered, host."""

    name = "storage.search"
    verb = gettext_lazy("Look what a storage server offers")
    permission = "storage.manage"

    def title(self) -> str:
        return _("Look what %(server)s offers") % {"server": self.params.get("server", "")}

    def backend(self) -> Backend:
        found = backend_of(str(self.params.get("kind", "")))
        if found is None or not found.can_search:
            raise Refused(_("Servers of this kind can't be asked."), field="kind")
        return found

    def host(self) -> Host:
        rows = Host.objects.filter(is_managed=True, observed_state=HostState.UP, pk__in=self.params.get("hosts") or ())
        host = rows.order_by("name").first()
        if host is None:
            raise Refused(_("Choose a host that answers now: it asks the server."), field="hosts")
        return host

    def refuse(self) -> None:
        self.backend()
        server = str(self.params.get("server", ""))
        if not server:
            raise Refused(_("Fill in the server first."), field="host")
        try:
            names.check_host_address(server)
        except names.Refused as refused:
            raise Refused(_(refused.template) % refused.params, field="host") from refused
        self.host()

    def run(self, run: Run) -> dict[str, Any]:
        backend, host, server = self.backend(), self.host(), str(self.params["server"])
        problems = backend.check_host(host.target, {"host": server})
        if problems:
            raise Failed(" ".join(f"{problem.message} {problem.cure}." for problem in problems))
        words = ["virsh", "-c", host.target.shown_uri, "find-storage-pool-sources-as", backend.libvirt_type, server]
        run.command(*words)
        with connect(host.target) as conn:
            found = pools.find_sources(conn, backend.libvirt_type, server)
        offered = dict.fromkeys(backend.offered(spec) for spec in found)
        return {"offered": [one for one in offered if one], "host": host.name}
