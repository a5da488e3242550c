"""What only the hosts themselves can say about a move, asked before anything moves. Changes nothing."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from hosts.models import Host
from hosts.operations.encryption import encryption
from jobs.errors import Refused
from virt import migration as virt_migration
from virt import moves
from vms.destinations import OFFLINE
from vms.encrypted import CURE
from vms.models import Vm


def wants_post_copy(params: Mapping[str, Any]) -> bool:
    """Post-copy must be allowed from the beginning, also if only the time limit may switch to it."""
    return bool(params.get("post_copy")) or (params.get("on_timeout") == "post_copy" and bool(params.get("timeout_s")))


def traffic_address(destination: Host, params: Mapping[str, Any]) -> str:
    """Where the memory goes: the address given for this move, else the host's for migrations, else its usual one."""
    host = destination
    return str(params.get("address") or host.migration_address or host.address or host.hostname)


class LiveChecks:
    """`run` raises Refused with every reason at once; else returns what the move has to know of what was found."""

    def __init__(self, vm: Vm, destination: Host, params: Mapping[str, Any]) -> None:
        self.vm, self.destination, self.params = vm, destination, params

    def run(self, mode: str) -> dict[str, Any]:
        reasons, found = self.networks(), {}
        if mode != OFFLINE:
            reasons += self.cpu() + self.memory() + self.post_copy()
            if self.params.get("tls"):
                reason, name = self.tls()
                reasons += reason
                found["tls_name"] = name
        if reasons:
            raise Refused(" ".join(reasons))
        return found

    def networks(self) -> list[str]:
        return [
            _("The network %(name)s is not active on %(host)s.") % {"name": nic["source"], "host": self.destination}
            for nic in self.vm.nics
            if nic.get("kind") == "network"
            and not virt_migration.network_active(self.destination.target, nic["source"])
        ]

    def cpu(self) -> list[str]:
        if self.vm.host is None:
            return []
        fits = virt_migration.compare_cpu(self.vm.host.target, self.destination.target, str(self.vm.uuid))
        if fits is False:
            return [_("The CPU of %(host)s lacks something that the VM uses.") % {"host": self.destination}]
        return []

    def memory(self) -> list[str]:
        if virt_migration.free_memory_bytes(self.destination.target) < self.vm.memory_bytes:
            return [_("%(host)s has too little free memory.") % {"host": self.destination}]
        return []

    def post_copy(self) -> list[str]:
        """Only the receiving host needs something for it."""
        if not wants_post_copy(self.params) or not self.destination.has_ssh:
            return []
        reason = moves.look(self.destination.target).why_no_post_copy
        words = {"host": self.destination, "reason": reason}
        return [_("Post-copy to %(host)s is not possible: %(reason)s.") % words] if reason else []

    def tls(self) -> tuple[list[str], str]:
        """Reasons against it, and the name that the destination's certificate is valid for."""
        source, address = self.vm.host, traffic_address(self.destination, self.params)
        if source is None or not (source.has_ssh and self.destination.has_ssh):
            return [], ""
        found = encryption(source, self.destination, address)
        if found.why_not:
            return [f"{found.why_not}. {CURE}"], ""
        return [], "" if found.name == address else found.name
