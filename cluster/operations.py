"""Actions that reach over several rooms: emptying a host, saying that it is off, removing it, looking at all of it."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts import metrics
from hosts import sync as host_sync
from hosts.cpu import refresh_if_stale
from hosts.models import Host
from hosts.operations.base import HostOperation
from hosts.operations.trust import withdraw
from hosts.states import HostState, Transport
from jobs.errors import Failed, Refused
from jobs.models import Job
from jobs.operations import Lock, by_name, register
from jobs.run import Run
from storage import sync as storage_sync
from storage.models import Image, ImageState
from ui import live
from virt import ssh
from virt.connection import connect
from virt.errors import VirtError
from vms import sync as vm_sync
from vms.destinations import LIVE, OFFLINE, Destination, destinations
from vms.models import Vm
from vms.operations.delete import drop_row
from vms.states import ALIVE, STARTABLE


def vms_to_move(host: Host, *, include_off: bool) -> list[Vm]:
    """The VMs that an evacuation moves, largest first: what is hard to place is placed while there is room."""
    states = ALIVE | STARTABLE if include_off else ALIVE
    rows = Vm.objects.filter(host=host, missing_since=None, observed_state__in=states).select_related("host", "job")
    return sorted(rows, key=lambda vm: -vm.memory_bytes)


def against(place: Destination) -> str:
    return " ".join(map(str, place.blockers)) or _("too little memory")


@register
class EvacuateHost(HostOperation):
    """Put a host into maintenance and move every VM away live: one job, a part for each VM, so many at once as
    DROVER_MIGRATIONS_PER_HOST allows. params: include_off, note."""

    name = "hosts.evacuate"
    verb = gettext_lazy("Evacuate")
    allowed_states = frozenset({HostState.UP})
    cancellable = True

    def locks(self) -> list[Lock]:
        return [Lock(f"evacuate:host:{self.target.pk}")]

    def refuse(self) -> None:
        others = Host.objects.filter(is_managed=True, observed_state=HostState.UP, maintenance=False)
        if not others.exclude(pk=self.target.pk).exists():
            raise Refused(_("No other host is up and out of maintenance."))

    def run(self, run: Run) -> dict[str, Any] | None:
        """Raises Failed if not even one VM can be moved."""
        note = str(self.params.get("note") or self.target.maintenance_note)[:200]
        self.store(maintenance=True, maintenance_note=note)
        begun = set(Job.objects.filter(parent=run.job).values_list("target_key", flat=True))
        vms = vms_to_move(self.target, include_off=bool(self.params.get("include_off")))
        left: dict[str, str] = dict(run.job.result.get("left", {}))
        taken: dict[int, int] = {}
        for vm in vms:
            run.check_cancel()
            if str(vm.uuid) not in begun:
                reason = self._begin(run, vm, taken)
                if reason:
                    left[vm.name] = reason
                    run.warn(f"{vm}: {reason}")
        run.keep(left=left)
        if left and len(left) == len(vms):
            name, reason = next(iter(left.items()))
            raise Failed(_("No VM could be moved. %(vm)s: %(why)s") % {"vm": name, "why": reason})
        return run.wait_for_children() if vms or begun else {}

    def _begin(self, run: Run, vm: Vm, taken: dict[int, int]) -> str:
        """Enqueue the move of one VM to the host with most room once those before it are there; why not, if not."""
        mode, needed = (LIVE, vm.memory_bytes) if vm.is_alive else (OFFLINE, 0)
        found = destinations(vm, mode)

        def room(place: Destination) -> int:
            return place.free_after_bytes - taken.get(place.host.pk, 0)

        possible = [place for place in found if place.is_possible and room(place) >= needed]
        if not possible:
            reasons = [
                f"{place.host}: {' '.join(map(str, place.blockers)) or _('too little memory')}" for place in found[:3]
            ]
            return "; ".join(reasons)
        host = max(possible, key=lambda place: (-len(place.warnings), room(place))).host
        try:
            run.child(by_name("vms.migrate")(vm, {"host": host.pk, "mode": mode}))
        except Refused as refused:
            return str(refused.message)
        taken[host.pk] = taken.get(host.pk, 0) + needed
        return ""

    def children_ended(self, run: Run) -> dict[str, Any] | None:
        """Raises Failed if VMs stayed that no part was begun for."""
        left = run.job.result.get("left", {})
        if left:
            raise Failed(
                _("These VMs stayed: %(names)s.") % {"names": ", ".join(sorted(left))}, "\n".join(left.values())
            )
        return {"moved": run.job.children.count()}


class _Declare(HostOperation):
    """A person's word about a host that can't be asked (law 4)."""

    def declare(self, state: str) -> None:
        self.store(observed_state=state, state_since=timezone.now())
        vm_sync.settle_host(self.target)


@register
class DeclareOff(_Declare):
    """A person says that the host is switched off: nothing runs there, its VMs may be started elsewhere."""

    name = "hosts.declare_off"
    verb = gettext_lazy("Declare off:")
    allowed_states = frozenset({HostState.UNREACHABLE, HostState.REFUSED})

    def check(self, run: Run) -> None:
        """Raises Refused if it answers after all: then it is not off."""
        try:
            with connect(self.target.target) as conn:
                conn.getLibVersion()
        except VirtError:
            return
        raise Refused(_("%(host)s answers: it is not off.") % {"host": self.target})

    def run(self, run: Run) -> dict[str, Any]:
        run.log(_("A person answers for it that this machine is off. If it is not, VMs may run twice."), "warning")
        self.declare(HostState.FENCED)
        return {}


@register
class DeclareOn(_Declare):
    """Take the word back: whether VMs run there is unknown again until the host answers."""

    name = "hosts.declare_on"
    verb = gettext_lazy("No longer declared off:")
    allowed_states = frozenset({HostState.FENCED})

    def run(self, run: Run) -> dict[str, Any]:
        self.declare(HostState.UNREACHABLE)
        return {}


@register
class RemoveHost(HostOperation):
    """Remove Drover's record of a host. What runs there keeps running. params: remove_keys, forget_vms.

    Images that lie on this host alone are forgotten with it; their files stay.
    """

    name = "hosts.remove"
    removes_target = True
    verb = gettext_lazy("Remove")
    for_managed = None

    def refuse(self) -> None:
        if image := Image.objects.filter(host=self.target, state=ImageState.IMPORTING).first():
            raise Refused(_("The image %(image)s is being imported there. Wait, or cancel that.") % {"image": image})

    def check(self, run: Run) -> None:
        self.refuse()

    def run(self, run: Run) -> dict[str, Any]:
        host = self.target
        if self.params.get("remove_keys") and host.transport == Transport.SSH:
            self._take_keys_away(run)
        vms = list(Vm.objects.filter(host=host))
        names = [vm.name for vm in vms]
        run.log(_("VMs on it, which go on running: %(names)s") % {"names": ", ".join(names) or "–"})
        for vm in vms if self.params.get("forget_vms") else ():
            drop_row(vm)
        images = Image.objects.filter(host=host)
        if forgotten := [str(image) for image in images]:
            run.log(_("Images that lie only there, whose files stay: %(names)s") % {"names": ", ".join(forgotten)})
            images.delete()
        ssh.forget(host.target)
        pk = host.pk
        host.delete()
        metrics.forget("host", str(pk))
        refresh_if_stale()
        live.publish("hosts", f"host.{pk}", "vms", "pools", "networks", "images")
        return {"vms": names, "images": forgotten}

    def _take_keys_away(self, run: Run) -> None:
        """As far as the hosts answer: a host that is gone for good must not keep its record alive."""
        host = self.target
        others = list(Host.objects.filter(is_managed=True).exclude(pk=host.pk))
        for name, reason in withdraw(host, others).items():
            run.warn(_("Its migration key stays on %(host)s: %(why)s") % {"host": name, "why": reason})
        if not host.host_keys:
            return
        try:
            ssh.remove_key(host.target)
        except VirtError as error:
            run.warn(_("Drover's key stays on the host: %(why)s") % {"why": error.message})


@register
class RefreshHost(HostOperation):
    """Read everything of a host anew: itself, networks, pools and VMs. The watch does it all the time by itself."""

    name = "hosts.refresh"
    verb = gettext_lazy("Read anew")

    def run(self, run: Run) -> dict[str, Any]:
        """Raises HostUnreachable and its kinds."""
        host = self.target
        steps = (
            (_("Host"), host_sync.refresh_host),
            (_("Networks"), host_sync.refresh_networks),
            (_("Pools"), storage_sync.refresh_pools),
            (_("VMs"), vm_sync.refresh_vms),
        )
        for place, (word, refresh) in enumerate(steps):
            run.progress(100.0 * place / len(steps), word)
            refresh(host)
        return {}
