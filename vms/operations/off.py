"""Switching a VM off for good: when its lease has ended."""

import time
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobs.errors import Text
from jobs.operations import register
from jobs.run import Run
from virt import guests
from virt.connection import connect
from vms.models import Vm
from vms.operations.base import VmOperation
from vms.operations.power import ASK_AGAIN_S, LOOK_EVERY_S, SHUTDOWN_TIMEOUT_S
from vms.states import ALIVE, VmState

OBEYS = frozenset({VmState.RUNNING, VmState.BLOCKED, VmState.SHUTTING_DOWN})


@register
class SwitchOffVm(VmOperation):
    """Asks the guest to shut down, forces it off if it does not in time, and no longer starts it with its host.

    params: timeout_s. A VM that is off already succeeds. Not offered to people: they shut down or force off.
    """

    name = "vms.switch-off"
    verb = gettext_lazy("Switch off")

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        if not vm.is_persistent:
            return _("Not possible: no host keeps its definition.")
        return super().state_refusal(vm)

    def act(self, run: Run) -> dict[str, Any]:
        self.virsh(run, "autostart", "--disable", str(self.target))
        with connect(self.host().target) as conn:
            guests.set_autostart(conn, self.uuid, enabled=False)
        if self.obeys(run):
            return {"forced": False}
        run.warn(_("It does not shut down by itself: forced off."))
        self.virsh(run, "destroy", str(self.target))
        with connect(self.host().target) as conn:
            if guests.state_of(conn, self.uuid) in ALIVE:
                guests.destroy(conn, self.uuid)
        return {"forced": True}

    def obeys(self, run: Run) -> bool:
        """Ask the guest, again and again, for one that is still booting does not hear the first time."""
        limit = float(self.params.get("timeout_s", SHUTDOWN_TIMEOUT_S))
        begin, ask_at = time.monotonic(), 0.0
        while (passed := time.monotonic() - begin) < limit:
            with connect(self.host().target) as conn:
                state = guests.state_of(conn, self.uuid)
                if state not in ALIVE:
                    return True
                if state not in OBEYS:
                    return False  # paused or suspended: it hears nothing
                if passed >= ask_at:
                    self.virsh(run, "shutdown", str(self.target))
                    guests.shutdown(conn, self.uuid)
                    ask_at = max(ASK_AGAIN_S, 2 * passed)
            run.progress(100 * passed / limit, _("Asked the guest, waiting"))
            time.sleep(LOOK_EVERY_S)
        return False
