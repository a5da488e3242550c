"""Looking a host over before it is taken in, or any time later: what is fine, what is not, and what to do about it."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts import sync
from hosts.models import Host
from hosts.operations.base import HostOperation
from hosts.operations.checks import Found, all_checks
from hosts.operations.reach import takes_part, why_not
from hosts.states import Level, Transport
from jobs.operations import register
from jobs.run import Run
from virt import moves, ssh, survey
from virt.connection import connect
from virt.errors import VirtError
from virt.xml.tree import BadXml


@register
class PreflightHost(HostOperation):
    """Look a host over. Changes nothing on it; its row gets the checks and the facts that were read."""

    name = "hosts.preflight"
    verb = gettext_lazy("Look over")
    for_managed = None

    def run(self, run: Run) -> dict[str, Any]:
        """Succeeds when it could look, whatever it found: {"problems": 0, "warnings": 2}."""
        found = Found(self.target, others=list(Host.objects.filter(is_managed=True).exclude(pk=self.target.pk)))
        self._log_in(run, found)
        self._ask_libvirt(run, found)
        self._try_peers(run, found)
        self._keep_facts(found)
        checks = [check.as_json() for check in all_checks(found)]
        self.store(preflight=checks, preflight_at=timezone.now())
        for check in checks:
            level = {Level.PROBLEM: "error", Level.WARNING: "warning"}.get(check["level"], "info")
            run.log(f"{check['title']}: {check['text']} {check['cure']}".strip(), level)
        levels = [check["level"] for check in checks]
        return {"problems": levels.count(Level.PROBLEM), "warnings": levels.count(Level.WARNING)}

    def _log_in(self, run: Run, found: Found) -> None:
        host = self.target
        if not host.has_ssh:
            return
        run.progress(5, _("Logging in"))
        if host.transport == Transport.SSH:
            run.command("ssh", "-p", str(host.port or 22), f"{host.username}@{host.address}", "true")
        try:
            found.login_s = survey.login_time_s(host.target)
            ssh.run(
                host.target, ["true"]
            )  # opens the shared connection, so that the clocks are compared without a login
            run.progress(25, _("Looking at the machine"))
            found.machine = survey.machine(host.target)
            found.means = moves.look(host.target)
            sync.store_certificate(host.pk, found.means.valid_until)
        except VirtError as error:
            found.login_error = error.message

    def _ask_libvirt(self, run: Run, found: Found) -> None:
        host = self.target
        if host.has_ssh and found.machine is None:
            return
        if found.machine is not None:
            host.has_kvm = found.machine.has_kvm
        run.progress(50, _("Asking libvirt"))
        run.command("virsh", "-c", host.target.shown_uri, "version")
        run.command("virsh", "-c", host.target.shown_uri, "capabilities")
        try:
            with connect(host.target) as conn:
                found.hypervisor = survey.hypervisor(conn, host.domain_type)
        except (VirtError, BadXml) as error:
            found.hypervisor_error = getattr(error, "message", str(error))

    def _try_peers(self, run: Run, found: Found) -> None:
        host = self.target
        if found.machine is None or not takes_part(host):
            return
        run.progress(70, _("Trying the way to the other hosts"))
        trusted = []
        for other in filter(takes_part, found.others):
            there, back = why_not(host, other), why_not(other, host)
            found.reached[other.pk] = there or back
            if other.has_ssh and not there:
                trusted.append(other.pk)
            self._note_way_back(other, is_open=not back)
        self.store(trusted_hosts=trusted)

    def _note_way_back(self, other: Host, *, is_open: bool) -> None:
        trusted = {*other.trusted_hosts, self.target.pk} if is_open else {*other.trusted_hosts} - {self.target.pk}
        if trusted != {*other.trusted_hosts}:
            other.trusted_hosts = sorted(trusted)
            other.save(update_fields=["trusted_hosts"])

    def _keep_facts(self, found: Found) -> None:
        """So that the page of a host that is being added says what it is; later the watch writes them."""
        if found.hypervisor is not None:
            sync.store_facts(self.target.pk, found.hypervisor, found.machine, timezone.now())
            self.target.refresh_from_db()
