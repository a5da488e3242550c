"""Power: start, shut down, reboot, force off, reset, pause, resume, autostart."""

import time
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from jobs.errors import Cancelled, Failed, Refused, Text
from jobs.operations import register
from jobs.run import Run
from virt import guests
from virt.connection import connect
from vms.models import Presence, Vm
from vms.operations.base import VmOperation
from vms.operations.law4 import ask_others
from vms.states import ALIVE, STARTABLE, VmState

SHUTDOWN_TIMEOUT_S = 120
SHUTDOWN_TIMEOUTS_S = range(5, 3601)
LOOK_EVERY_S = 0.5
ASK_AGAIN_S = 8.0


@register
class StartVm(VmOperation):
    """params: force (bool), silent_hosts ([pk]): a person's word that the VM does not run on these hosts."""

    name = "vms.start"
    verb = gettext_lazy("Start")
    allowed_states = STARTABLE
    bulk = True

    def refuse(self) -> None:
        if self.params.get("force") and not self.params.get("silent_hosts"):
            raise Refused(_("Name the hosts on which the VM does not run."), field="hosts")

    def act(self, run: Run) -> dict[str, Any]:
        with connect(self.host().target) as conn:
            state = guests.state_of(conn, self.uuid)
        if state in ALIVE:
            run.log(_("It runs already."))
            return {"started": False}
        ask_others(run, self.target, self.params)
        self.virsh(run, "start", str(self.target))
        run.progress(None, _("Starting"))
        with connect(self.host().target) as conn:
            guests.start(conn, self.uuid)
        return {"started": True}


@register
class ShutDownVm(VmOperation):
    """params: timeout_s. Fails with a choice (wait more, force off) if the guest does not obey in time."""

    name = "vms.shutdown"
    verb = gettext_lazy("Shut down")
    allowed_states = frozenset({VmState.RUNNING, VmState.BLOCKED, VmState.SHUTTING_DOWN})
    cancellable = True
    bulk = True

    def refuse(self) -> None:
        timeout = self.params.setdefault("timeout_s", SHUTDOWN_TIMEOUT_S)
        if not isinstance(timeout, int) or timeout not in SHUTDOWN_TIMEOUTS_S:
            raise Refused(_("Give a time between 5 s and an hour."), field="timeout_s")

    def act(self, run: Run) -> dict[str, Any]:
        limit = float(self.params.get("timeout_s", SHUTDOWN_TIMEOUT_S))
        self.virsh(run, "shutdown", str(self.target))
        begin, ask_at = time.monotonic(), 0.0
        while (passed := time.monotonic() - begin) < limit:
            with connect(self.host().target) as conn:
                if guests.state_of(conn, self.uuid) not in ALIVE:
                    return {"seconds": round(passed, 1)}
                if passed >= ask_at:  # and again: a guest that is still booting does not hear the first one
                    guests.shutdown(conn, self.uuid)
                    ask_at = max(ASK_AGAIN_S, 2 * passed)
            if run.cancel_asked.is_set():
                run.log(_("No longer waiting. The guest was asked and may still shut down."))
                raise Cancelled
            run.progress(100 * passed / limit, _("Asked the guest, waiting"))
            time.sleep(LOOK_EVERY_S)
        run.keep(choice="off")
        raise Failed(
            _("%(vm)s did not shut down within %(s)s s. Wait longer, or force it off.")
            % {"vm": self.target, "s": int(limit)}
        )


@register
class RebootVm(VmOperation):
    name = "vms.reboot"
    verb = gettext_lazy("Reboot")
    allowed_states = frozenset({VmState.RUNNING})
    bulk = True

    def act(self, run: Run) -> None:
        self.virsh(run, "reboot", str(self.target))
        with connect(self.host().target) as conn:
            guests.reboot(conn, self.uuid)


@register
class ForceOffVm(VmOperation):
    """params: host (pk): only there, for a VM that is alive on two hosts."""

    name = "vms.force-off"
    verb = gettext_lazy("Force off")
    allowed_states = ALIVE
    bulk = True
    twice_is_no = False

    def host(self) -> Host:
        chosen = self.params.get("host")
        if chosen is None:
            return super().host()
        presence = Presence.objects.filter(vm=self.target, host=chosen).select_related("host").first()
        if presence is None:
            raise Refused(_("It was never seen on this host."), field="host")
        return presence.host

    def refuse(self) -> None:
        if self.target.is_duplicate and self.params.get("host") is None:
            raise Refused(_("It runs on two hosts at once: choose on which to force it off."), field="host")

    def act(self, run: Run) -> dict[str, Any]:
        host = self.host()
        self.virsh(run, "destroy", str(self.target))
        with connect(host.target) as conn:
            if guests.state_of(conn, self.uuid) not in ALIVE:
                return {"was_off": True}
            guests.destroy(conn, self.uuid)
        if host.pk != self.target.host_id:
            self.refresh_on(host)
        return {"host": str(host)}


@register
class ResetVm(VmOperation):
    name = "vms.reset"
    verb = gettext_lazy("Reset")
    allowed_states = frozenset({VmState.RUNNING, VmState.BLOCKED, VmState.PAUSED})

    def act(self, run: Run) -> None:
        self.virsh(run, "reset", str(self.target))
        with connect(self.host().target) as conn:
            guests.reset(conn, self.uuid)


@register
class PauseVm(VmOperation):
    name = "vms.pause"
    verb = gettext_lazy("Pause")
    allowed_states = frozenset({VmState.RUNNING, VmState.BLOCKED})
    bulk = True

    def act(self, run: Run) -> None:
        self.virsh(run, "suspend", str(self.target))
        with connect(self.host().target) as conn:
            if guests.state_of(conn, self.uuid) != VmState.PAUSED:
                guests.suspend(conn, self.uuid)


@register
class ResumeVm(VmOperation):
    name = "vms.resume"
    verb = gettext_lazy("Resume")
    allowed_states = frozenset({VmState.PAUSED})
    bulk = True

    def act(self, run: Run) -> None:
        self.virsh(run, "resume", str(self.target))
        with connect(self.host().target) as conn:
            if guests.state_of(conn, self.uuid) == VmState.PAUSED:
                guests.resume(conn, self.uuid)


@register
class AutostartVm(VmOperation):
    """params: enabled. Starts with its host, by the host's own libvirt."""

    name = "vms.autostart"
    verb = gettext_lazy("Change autostart of")
    permission = "vms.change"

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        if not vm.is_persistent:
            return _("Not possible: no host keeps its definition.")
        return super().state_refusal(vm)

    def title(self) -> str:
        if self.params.get("enabled"):
            return _("Switch autostart of %(vm)s on") % {"vm": self.target}
        return _("Switch autostart of %(vm)s off") % {"vm": self.target}

    def act(self, run: Run) -> None:
        enabled = bool(self.params.get("enabled"))
        self.virsh(run, "autostart", *([] if enabled else ["--disable"]), str(self.target))
        with connect(self.host().target) as conn:
            guests.set_autostart(conn, self.uuid, enabled=enabled)
