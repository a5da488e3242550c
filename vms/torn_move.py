"""Going on with a post-copy whose way broke.

The connection of the two QEMUs may outlive a short break: then the rest of the memory follows by itself, and what is
left to do is to tidy up. Else both sides must first take it for broken, and then libvirt connects them anew.
"""

import time
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from jobs.errors import Failed, Refused, Text
from jobs.models import Job
from jobs.operations import Lock, register
from jobs.run import Run
from jobs.states import ACTIVE, State
from virt import migration as virt_migration
from virt import torn
from virt.errors import HostUnreachable, VirtError
from virt.migration import ALIVE, GONE, HANDED_OVER, INCOMING, OFF, TORN, UNKNOWN, Mover
from vms.migration import LOOK_EVERY_S, MigrateVm, Migration
from vms.models import Vm
from vms.operations.base import VmOperation

STUCK_S = 30.0  # nothing has come for so long: it does not go on by itself; TCP tries again ever more rarely
NOTICED_WITHIN_S = 15.0
CONNECTED_WITHIN_S = 45.0
TRIES, AGAIN_AFTER_S = 3, 3.0
KEPT = ("source", "destination", "source_name", "autostart", "made", "variables", "tls_name")
NAME = "vms.resume-move"


def torn_job(vm: Vm) -> Job | None:
    """The last move of the VM, if its way broke during post-copy and nothing has mended it since."""
    moves = Job.objects.filter(target_kind="vm", target_key=str(vm.uuid), operation__in=[MigrateVm.name, NAME])
    last = moves.exclude(state__in=[*ACTIVE, State.CANCELLED]).order_by("-pk").first()
    return last if last is not None and last.state != State.SUCCEEDED and last.result.get("torn") else None


@register
class ResumeMove(VmOperation):
    """No params of its own: it takes those of the move that broke."""

    name = NAME
    verb = gettext_lazy("Resume the move of")
    permission = "vms.migrate"
    twice_is_no = False

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        if torn_job(vm) is None:
            return _("None of its moves broke during post-copy.")
        return super().state_refusal(vm)

    @property
    def mode(self) -> str:
        return str(self.params.get("mode"))

    def locks(self) -> list[Lock]:
        slots = [Lock(f"migrate:host:{pk}", settings.MIGRATIONS_PER_HOST) for pk in self.params.get("between", ())]
        return [*super().locks(), *slots]

    def refuse(self) -> None:
        broken = torn_job(self.target)
        if broken is None:
            raise Refused(_("None of its moves broke during post-copy."))
        between = [broken.result["source"], broken.result["destination"]]
        for host in Host.objects.filter(pk__in=between):
            version = tuple(int(part) for part in host.libvirt_version.split(".") if part.isdigit())
            if version < torn.OLDEST_LIBVIRT:
                text = _("libvirt on %(host)s (%(version)s) can't do this: it needs 8.5 or newer.")
                raise Refused(text % {"host": host, "version": host.libvirt_version or "?"})
        self.params |= {**broken.params, "timeout_s": 0, "between": between, "broken": broken.pk}

    def check(self, run: Run) -> None:
        """Whether there is something to go on with, as both hosts say it."""
        if run.is_repeat and "source" in run.job.result:
            return
        broken = Job.objects.get(pk=self.params["broken"])
        run.keep(torn=True, **{key: broken.result[key] for key in KEPT if key in broken.result})
        hosts = [Host.objects.get(pk=broken.result[end]) for end in ("source", "destination")]
        here, there = (virt_migration.where(host.target, self.uuid) for host in hosts)
        words = {"source": hosts[0], "destination": hosts[1], "here": here, "there": there}
        if UNKNOWN in {here, there}:
            raise Refused(_("%(source)s and %(destination)s must both answer: mend the network first.") % words)
        if there not in ALIVE | {TORN, INCOMING} or here not in {TORN, HANDED_OVER, OFF, GONE}:
            run.keep(torn=False)
            text = _("Nothing to resume: it is %(here)s on %(source)s, %(there)s on %(destination)s.")
            raise Refused(text % words)

    def act(self, run: Run) -> dict[str, Any]:
        return Resumption(self, run).run()


class Resumption(Migration):
    """Watch it while it goes on by itself; once it stands still, connect the two sides anew."""

    def run(self) -> dict[str, Any]:
        self.post_copy = True
        self.options = replace(self.options, post_copy=True, post_copy_after_pass=False, resume=True)
        self.run_.progress(None, _("Looking whether it goes on by itself"))
        self._let_it_go_on()
        mover = self._reconnect() if self._here() == TORN else None
        if mover is None and not self.run_.is_repeat:
            self.run_.log(_("The rest of the memory came by itself."))
        return self._verdict(mover)

    def _reconnect(self) -> Mover:
        """A way that was just mended may fail once more before anything has gone over it: then it is tried again."""
        for left in reversed(range(TRIES)):
            mover = self._resume()
            self._watch_anew(mover)
            if not left or not isinstance(mover.error, HostUnreachable) or self._here() != TORN:
                break
            self.run_.warn(_("%(destination)s could not be reached from %(source)s: once more.") % self._words())
            time.sleep(AGAIN_AFTER_S)
        return mover

    def _here(self) -> str:
        return virt_migration.where(self.source.target, self.uuid)

    def _let_it_go_on(self) -> None:
        """Returns when it has ended, or when nothing has come for a while."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < STUCK_S:
            found = virt_migration.sample(self.source.target, self.uuid)
            if found is None:
                return
            if found.remaining != last:
                last, since = found.remaining, time.monotonic()
                self._tell(found)
            time.sleep(LOOK_EVERY_S)

    def _watch_anew(self, mover: Mover) -> None:
        """As `_watch`, but QEMU at the destination may wait for memory itself and answer nobody: that has no end."""
        until = time.monotonic() + CONNECTED_WITHIN_S
        while not mover.wait(LOOK_EVERY_S):
            if self._here() != TORN:
                self._watch(mover)
            elif time.monotonic() > until:
                raise self._torn(None, self._silent())

    def _silent(self) -> str:
        text = _(
            "QEMU on %(destination)s waits for memory itself and answers nobody. Force the VM off on both hosts, and"
            " start it anew."
        )
        return text % self._words()

    def _resume(self) -> Mover:
        self.run_.progress(None, _("Ending the broken connection"))
        self._make_both_notice()
        if self.destination.has_ssh and not torn.answers(self.destination.target, self.vm.name):
            raise self._torn(None, self._silent())
        uri = self.destination.target.peer_uri
        self.run_.command(*self.options.command(self.vm.name, self.source.target.shown_uri, uri, self.address))
        self.run_.log(_("Connecting %(source)s and %(destination)s anew.") % self._words())
        mover = Mover(self.source.target, self.uuid, uri, self.address, self.options)
        mover.start()
        return mover

    def _make_both_notice(self) -> None:
        source, destination = self.source.target, self.destination.target
        self.run_.command("virsh", "-c", source.shown_uri, "domjobabort", self.vm.name, "--postcopy")
        torn.interrupt(source, self.uuid)
        until, asked = time.monotonic() + NOTICED_WITHIN_S, False
        while not (torn.has_noticed(source, self.uuid) and torn.has_noticed(destination, self.uuid)):
            if time.monotonic() > until:
                raise self._torn(
                    None, _("%(destination)s does not notice that the connection is gone.") % self._words()
                )
            if self.destination.has_ssh and not asked and time.monotonic() > until - NOTICED_WITHIN_S + 2:
                asked = True
                login = f"{self.destination.username}@{self.destination.address or self.destination.name}"
                low, high = torn.PORTS
                ports = f"sport >= :{low} and sport <= :{high}"
                self.run_.command(f"ssh {login} \"ss -K dst {self.source.address} '( {ports} )'\"")
                torn.end_connection(destination, self.vm.name)
            time.sleep(LOOK_EVERY_S)

    def _torn(self, error: VirtError | None, why: str = "") -> Failed:
        self.run_.keep(torn=True)
        text = _(
            "It could not go on: a part of the memory of %(vm)s is still on %(source)s, the rest on %(destination)s."
        )
        reason = why or (error.message if error else "")
        return Failed(f"{text % self._words()} {reason}".strip(), error.technical if error else "")
