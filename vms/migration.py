"""Moving a VM to another host: the operation.

A migration is peer to peer, so the source's libvirtd goes on with it if our worker dies. Whatever dies, the truth is
asked from both hosts at the end: the VM runs in exactly one place, and the job says which.
"""

import time
from dataclasses import asdict
from typing import Any, Protocol

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from jobs.errors import Cancelled, Failed, Refused, Text
from jobs.operations import Lock, register
from jobs.run import Run
from virt import migration as virt_migration
from virt import torn
from virt.errors import HostUnreachable, VirtError
from virt.migration import ALIVE, GONE, HANDED_OVER, INCOMING, OFF, TORN, UNKNOWN, Mover, Options, Sample, Summary
from virt.names import Refused as BadName
from virt.names import check_host_address
from vms import sync
from vms.destinations import COPY, LIVE, OFFLINE, Needs, best, unshared_disks, weigh
from vms.disk_copy import DiskCopy
from vms.encrypted import refuse_no_tls
from vms.firmware_move import FirmwareMove
from vms.live_checks import LiveChecks, traffic_address, wants_post_copy
from vms.models import Vm
from vms.operations.base import VmOperation
from vms.states import VmState

MIB = 1024 * 1024
LOOK_EVERY_S = 0.25
SWITCH_LOOK_S, SWITCH_WITHIN_S = 0.03, 2.0  # post-copy of a small VM is over in a blink
TRUTH_WITHIN_S = 60.0
ON_TIMEOUT = ("abort", "pause", "post_copy")


@register
class MigrateVm(VmOperation):
    """params: host (pk, None for the best place), mode (live|copy|offline), bandwidth_mib, auto_converge, post_copy,
    compression, tunnelled, tls, timeout_s (0: none), on_timeout (abort|pause|post_copy), address (other network)."""

    name = "vms.migrate"
    verb = gettext_lazy("Migrate")
    permission = "vms.migrate"
    allowed_states = frozenset({VmState.RUNNING, VmState.PAUSED, VmState.OFF})
    cancellable = True

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        reason = super().state_refusal(vm)
        if reason is None and not vm.is_alive and not vm.is_persistent:
            return _("Not possible: no host keeps its definition.")
        return reason

    @property
    def mode(self) -> str:
        return str(self.params.get("mode") or LIVE)

    def title(self) -> str:
        host = Host.objects.filter(pk=self.params.get("host") or 0).first()
        return f"{self.verb} {self.target} → {host or '?'}"

    def locks(self) -> list[Lock]:
        hosts = [self.target.host_id, self.params.get("host")]
        slots = [Lock(f"migrate:host:{pk}", settings.MIGRATIONS_PER_HOST) for pk in hosts if pk]
        return [*super().locks(), *slots]

    def refuse(self) -> None:
        if self.mode not in {LIVE, COPY, OFFLINE}:
            raise Refused(_("Choose how to move it."), field="mode")
        if self.mode == OFFLINE and self.target.is_alive:
            raise Refused(_("It is running: move it live, or shut it down first."), field="mode")
        if self.mode != OFFLINE and not self.target.is_alive:
            if self.mode == COPY:
                raise Refused(_("Disks are copied only while it runs: start it first."), field="mode")
            self.params["mode"] = OFFLINE
        self._refuse_traffic()
        destination = self._destination()
        if self.params.get("tls") and self.mode != OFFLINE:
            refuse_no_tls(self.target.host, destination)
        self.params["host"] = destination.pk

    def _refuse_traffic(self) -> None:
        get = self.params.get
        if get("tunnelled") and (get("tls") or self.mode == COPY):
            raise Refused(_("Tunnelled traffic goes neither with TLS nor with disk copy."), field="transport")
        if get("tunnelled") and wants_post_copy(self.params):
            raise Refused(_("Tunnelled traffic does not go with post-copy."), field="transport")
        if not get("address"):
            return
        if get("tunnelled"):
            raise Refused(_("Tunnelled traffic goes where SSH goes: leave the address empty."), field="address")
        try:
            self.params["address"] = check_host_address(str(get("address")))
        except BadName as bad:
            raise Refused(str(bad), field="address") from bad

    def _destination(self) -> Host:
        if not self.params.get("host"):
            found = best(self.target, self.mode, tls=bool(self.params.get("tls"))) or best(self.target, self.mode)
            if found is None:
                raise Refused(_("No other host can take it; the list says why for each."), field="host")
            return found.host
        host = Host.objects.filter(pk=self.params["host"]).first()
        if host is None:
            raise Refused(_("This host is no longer there."), field="host")
        if host.pk == self.target.host_id:
            raise Refused(_("It is already there."), field="host")
        reasons = weigh(self.target, host, self.mode, Needs.of(self.target, host)).blockers
        if reasons:
            raise Refused(" ".join(map(str, reasons)), field="host")
        return host

    # --- in the worker -----------------------------------------------------------------------------------------------

    def check(self, run: Run) -> None:
        if run.is_repeat and "source" in run.job.result:
            return
        vm, destination = self.target, Host.objects.get(pk=self.params["host"])
        if vm.host is None or vm.host_id == destination.pk:
            raise Refused(_("%(vm)s is already on %(host)s.") % {"vm": vm, "host": destination})
        here = virt_migration.where(vm.host.target, str(vm.uuid))
        if here == UNKNOWN:
            raise Refused(_("%(host)s, where the VM is, does not answer.") % {"host": vm.host})
        if here == GONE or (here == OFF) != (self.mode == OFFLINE):
            raise Refused(_("%(vm)s is no longer as it was shown: %(state)s.") % {"vm": vm, "state": here})
        if self.mode != OFFLINE and virt_migration.sample(vm.host.target, str(vm.uuid)) is not None:
            raise Refused(
                _("%(vm)s is being moved already, by hand or by a job that was interrupted: wait until it has arrived.")
                % {"vm": vm}
            )
        there = virt_migration.where(destination.target, str(vm.uuid))
        if there != GONE:
            raise Refused(
                _("%(host)s already holds a VM with this UUID (%(state)s).") % {"host": destination, "state": there}
            )
        run.keep(**LiveChecks(vm, destination, self.params).run(self.mode))

    def act(self, run: Run) -> dict[str, Any]:
        return Migration(self, run).run()


class Moving(Protocol):
    """What `Migration` needs of its operation."""

    target: Vm
    params: dict[str, Any]

    @property
    def mode(self) -> str: ...


class Migration:
    """One run: start or find the migration, watch it, and say where the VM is at the end."""

    def __init__(self, operation: Moving, run: Run) -> None:
        self.run_ = run
        self.operation = operation
        self.params = operation.params
        self.vm: Vm = operation.target
        if "source" not in run.job.result:
            run.keep(source=self.vm.host_id, destination=self.params["host"], source_name=str(self.vm.host))
        self.source = Host.objects.get(pk=run.job.result["source"])
        self.destination = Host.objects.get(pk=run.job.result["destination"])
        self.uuid = str(self.vm.uuid)
        self.files = DiskCopy(self.vm, self.source, self.destination) if operation.mode == COPY else None
        self.firmware = FirmwareMove(self.vm, self.source, self.destination, operation.mode)
        self.options = self._options()
        self.best_percent = 0.0
        self.iteration = 0
        self.last = Sample()
        self.throttle_percent = 0
        self.post_copy = False
        self.switched_at = 0.0
        self.timed_out = False
        self.abort_asked = False

    def _options(self) -> Options:
        get = self.params.get
        disks = unshared_disks(self.vm) if self.operation.mode == COPY else []
        return Options(
            mode=self.operation.mode,
            bandwidth_bytes_s=int(get("bandwidth_mib") or 0) * MIB,
            auto_converge=bool(get("auto_converge", True)),
            post_copy=wants_post_copy(self.params),
            post_copy_after_pass=bool(get("post_copy")),
            compression=bool(get("compression")),
            tunnelled=bool(get("tunnelled")),
            tls=bool(get("tls")),
            tls_name=str(self.run_.job.result.get("tls_name", "")),
            is_persistent=self.vm.is_persistent,
            disks=tuple(disk["target"] for disk in disks),
        )

    @property
    def address(self) -> str:
        return traffic_address(self.destination, self.params)

    def run(self) -> dict[str, Any]:
        mover = self._mover_or_none()
        try:
            self._watch(mover)
        except HostUnreachable as lost:
            self.run_.warn(_("%(host)s does not answer any more: %(why)s") % {"host": self.source, "why": lost.message})
        return self._verdict(mover)

    def _mover_or_none(self) -> Mover | None:
        """Start the move; None if a repeated run finds it under way or already done."""
        if self.run_.is_repeat and self._is_under_way_or_done():
            return None
        if self.files and "made" not in self.run_.job.result:
            self.files.prepare(self.run_)
        self.firmware.prepare(self.run_)
        self.run_.keep(autostart=virt_migration.keep_autostart(self.source.target, self.uuid))
        uri = self.destination.target.peer_uri
        self.run_.command(*self.options.command(self.vm.name, self.source.target.shown_uri, uri, self.address))
        self.run_.log(
            _("From %(source)s to %(destination)s, %(mode)s.")
            % {"source": self.source, "destination": self.destination, "mode": self.options.mode}
        )
        self.run_.progress(0, _("Connecting the hosts"))
        mover = Mover(self.source.target, self.uuid, uri, self.address, self.options)
        mover.start()
        return mover

    def _is_under_way_or_done(self) -> bool:
        here = virt_migration.where(self.source.target, self.uuid)
        there = virt_migration.where(self.destination.target, self.uuid)
        return there in ALIVE | {INCOMING, UNKNOWN} or here in {GONE, UNKNOWN} or (there == OFF and here != OFF)

    # --- while it moves ----------------------------------------------------------------------------------------------

    def _watch(self, mover: Mover | None) -> None:
        began = time.monotonic()
        idle_looks = 0
        while not (mover.wait(self._pause()) if mover else idle_looks >= 4):
            if mover is None:
                time.sleep(LOOK_EVERY_S)
            self._obey_cancel()
            self._obey_timeout(time.monotonic() - began)
            found = virt_migration.sample(self.source.target, self.uuid)
            idle_looks = 0 if found else idle_looks + 1
            if found:
                self._tell(found)

    def _pause(self) -> float:
        """Seconds until the next look: short ones while a switch to post-copy is to be seen."""
        is_switching = not self.post_copy and time.monotonic() - self.switched_at < SWITCH_WITHIN_S
        return SWITCH_LOOK_S if is_switching else LOOK_EVERY_S

    def _switch(self) -> None:
        self.switched_at = time.monotonic()
        virt_migration.switch_to_post_copy(self.source.target, self.uuid)

    def _tell(self, found: Sample) -> None:
        self.last = found
        self.best_percent = max(self.best_percent, found.percent)
        if found.iteration > self.iteration:
            self.iteration = found.iteration
            if self.iteration > 1:
                self.run_.log(_("Pass %(n)s: %(mib)s MiB left.") % {"n": self.iteration, "mib": found.remaining // MIB})
        self.throttle_percent = max(self.throttle_percent, found.throttle_percent)
        self._follow_post_copy(found)
        step = _("Sending memory, pass %(n)s") % {"n": max(1, found.iteration)}
        if self.post_copy:
            step = _("It runs on %(host)s and fetches the rest of its memory") % {"host": self.destination}
        self.run_.progress(min(99.0, self.best_percent), step, sample=found.total > 0, **found.as_detail())

    def _follow_post_copy(self, found: Sample) -> None:
        """Switch after the first pass if that is wished, and note when it has really switched."""
        if found.post_copy and not self.post_copy:
            self.post_copy = True
            self.run_.log(_("Post-copy: it runs on %(host)s now, the rest follows.") % {"host": self.destination})
        elif self.options.post_copy_after_pass and found.iteration > 1 and not (self.switched_at or self.abort_asked):
            self._switch()

    def _obey_cancel(self) -> None:
        if self.run_.cancel_asked.is_set() and not self.abort_asked:
            self.abort_asked = True
            self.run_.log(_("Asking %(host)s to abort.") % {"host": self.source})
            virt_migration.abort(self.source.target, self.uuid)

    def _obey_timeout(self, seconds: float) -> None:
        limit = int(self.params.get("timeout_s") or 0)
        if not limit or seconds < limit or self.timed_out or self.abort_asked:
            return
        self.timed_out = True
        then = self.params.get("on_timeout", "abort")
        self.run_.warn(_("Not done after %(s)s s: %(then)s.") % {"s": limit, "then": then.replace("_", "-")})
        if then == "pause":
            virt_migration.suspend(self.source.target, self.uuid)
        elif then == "post_copy":
            self._switch()
        else:
            self.abort_asked = True
            virt_migration.abort(self.source.target, self.uuid)

    # --- where is it? ------------------------------------------------------------------------------------------------

    def _verdict(self, mover: Mover | None) -> dict[str, Any]:
        here, there = self._truth(finished=mover is not None and mover.error is None)
        error = mover.error if mover else None
        if there in ALIVE and here in ALIVE:
            self._settle()
            raise Failed(
                _("%(vm)s runs on both %(source)s and %(destination)s! Force it off on one of them at once.")
                % self._words(),
                error.technical if error else "",
            )
        if TORN in {here, there}:
            raise self._torn(error)
        if there in ALIVE or (there == OFF and here in {GONE, UNKNOWN}):
            return self._moved(here)
        self._settle()
        technical = error.technical if error else ""
        if here in ALIVE | {OFF} and there == GONE:
            self.firmware.undo(self.run_)
            if self.files:
                self.files.undo(self.run_)
        if here in ALIVE | {OFF}:
            self._stayed(technical, error)
        if here == UNKNOWN or there == UNKNOWN:
            raise Failed(self._unknown_text(here, there), technical)
        raise Failed(_("%(vm)s runs on neither %(source)s nor %(destination)s any more.") % self._words(), technical)

    def _words(self) -> dict[str, Any]:
        return {"vm": self.vm, "source": self.source, "destination": self.destination}

    def _truth(self, *, finished: bool) -> tuple[str, str]:
        """How source and destination hold the VM once nothing is on the way between them; waits up to a minute."""
        until = time.monotonic() + TRUTH_WITHIN_S
        while True:
            here = virt_migration.where(self.source.target, self.uuid)
            there = virt_migration.where(self.destination.target, self.uuid)
            settled = not {here, there} & {INCOMING, UNKNOWN, HANDED_OVER}
            if (settled and not (here in ALIVE and there in ALIVE)) or time.monotonic() > until:
                return here, UNKNOWN if there == INCOMING else there
            if finished and there in ALIVE:
                return here, there
            self.run_.progress(self.run_.job.percent, _("Asking both hosts where it is"))
            time.sleep(0.5)

    def _moved(self, here: str) -> dict[str, Any]:
        cost = self._cost()
        if self.run_.job.result.get("autostart"):
            virt_migration.set_autostart(self.destination.target, self.uuid)
        if here == OFF and self.operation.mode != OFFLINE and torn.forget_old(self.source.target, self.uuid):
            here = GONE  # it ended by itself after a break: nobody was left to remove the old definition
        self._settle()
        if here == GONE:
            self.firmware.finish(self.run_)
            if self.files:
                self.files.finish(self.run_)
        if here == UNKNOWN:
            self.run_.warn(_("%(source)s does not answer, but the VM runs on %(destination)s.") % self._words())
        if self.abort_asked:
            self.run_.warn(_("The wish to stop came too late: it had already moved."))
        result = {"moved": True, **(asdict(cost) if cost else {})}
        result |= {"throttle_percent": self.throttle_percent, "post_copy": self.post_copy}
        self.run_.log(_("%(vm)s is on %(destination)s.") % self._words())
        return result

    def _cost(self) -> Summary | None:
        """What it cost, as the destination kept it; after post-copy libvirt keeps nothing: then what was seen last."""
        if self.options.mode == OFFLINE:
            return None
        kept = virt_migration.summary(self.destination.target, self.uuid)
        if kept is None and (self.post_copy or self.switched_at):
            self.post_copy = True  # if nobody saw it: the rest followed between two looks
            return Summary(self.last.elapsed_ms, None, self.last.processed, self.last.iteration)
        return kept

    def _stayed(self, technical: str, error: VirtError | None) -> None:
        if self.run_.cancel_asked.is_set():
            self.run_.log(_("Aborted; %(vm)s stays on %(source)s.") % self._words())
            raise Cancelled
        if self.timed_out:
            message = _("Not done in time, so it was aborted; %(vm)s stays on %(source)s.")
        else:
            message = _("The migration failed; %(vm)s stays on %(source)s.")
        reason = error.message if error and not self.timed_out else ""
        raise Failed(f"{message % self._words()} {reason}".strip(), technical)

    def _torn(self, error: VirtError | None) -> Failed:
        self.run_.keep(torn=True)
        text = _(
            "The way between the hosts broke during post-copy: a part of the memory of %(vm)s is on %(source)s,"
            " the rest on %(destination)s. Mend the network, then press “Resume the move” on its page;"
            " or force it off on both and start it anew."
        )
        return Failed(text % self._words(), error.technical if error else "")

    def _unknown_text(self, here: str, there: str) -> str:
        if here == UNKNOWN and there == GONE:
            text = _(
                "%(source)s does not answer. %(destination)s did not take the VM over, so it can only be on %(source)s."
            )
        elif there == UNKNOWN and here == GONE:
            text = _(
                "%(destination)s does not answer. %(source)s has given the VM away, so it can only be on the former."
            )
        else:
            text = _(
                "Not both hosts answer, so it is not known where %(vm)s is. Drover looks again as soon as they do."
            )
        return text % self._words()

    def _settle(self) -> None:
        """Put the rows right now, before anybody looks."""
        for host in (self.source, self.destination):
            try:
                sync.refresh_vm(host, self.uuid)
            except VirtError:  # it does not answer: watch says so, and looks again
                continue
        self.vm.refresh_from_db(fields=["host"])
