"""A VM runs in one place: who must be asked before a start, and what was answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hosts.models import Host
from hosts.states import HostState
from jobs.errors import Failed
from jobs.run import Run
from storage.models import PoolOnHost
from virt import guests
from virt.errors import VirtError
from vms.models import Presence, Vm
from vms.states import ALIVE, VmState


@dataclass(frozen=True)
class Answers:
    """Where the VM is alive now, and which hosts could not say."""

    running_on: tuple[Host, ...]
    silent: tuple[Host, ...]


def could_run_on(vm: Vm) -> list[Host]:
    """Every managed host that could run this VM besides its own: it was seen there, or its shared disks are.

    A disk that QEMU reaches by itself over the network could be used from anywhere, so then it is every host.
    """
    hosts = Host.objects.filter(is_managed=True).exclude(pk=vm.host_id or 0)
    if any(disk.get("source_kind") == "network" for disk in vm.disks):
        return list(hosts)
    shared = {
        presence.pool_id
        for presence in PoolOnHost.objects.filter(host=vm.host_id, pool__is_shared=True).select_related("pool")
        if any(_lies_in(str(disk.get("path") or ""), presence.pool.target_path) for disk in vm.disks)
    }
    wanted = set(Presence.objects.filter(vm=vm).values_list("host_id", flat=True))
    wanted |= set(PoolOnHost.objects.filter(pool__in=shared, seen_at__isnull=False).values_list("host_id", flat=True))
    return list(hosts.filter(pk__in=wanted))


def _lies_in(path: str, folder: str) -> bool:
    return bool(folder) and path.startswith(folder.rstrip("/") + "/")


def silent_hosts(vm: Vm) -> list[Host]:
    """Which of them can't be asked, as far as the database knows. A host known to be off needs no question."""
    return [host for host in could_run_on(vm) if host.is_unknown]


def ask_others(run: Run, vm: Vm, params: dict[str, Any]) -> None:
    """Before a start: raise Failed unless every host that could run it says that it does not.

    params: of StartVm, a person's word for hosts that can't be asked.
    """
    others = could_run_on(vm)
    if not others:
        return
    run.progress(None, _("Asking %(n)s other hosts whether it runs there") % {"n": len(others)})
    answers = ask_hosts(vm, others)
    if answers.running_on:
        where = ", ".join(str(host) for host in answers.running_on)
        raise Failed(_("%(vm)s runs already on %(hosts)s.") % {"vm": vm, "hosts": where})
    given = set(params.get("silent_hosts") or ()) if params.get("force") else set()
    silent = [host for host in answers.silent if host.pk not in given]
    if silent:
        run.keep(silent_hosts=[host.pk for host in silent])
        raise Failed(
            _(
                "%(hosts)s can't be asked whether %(vm)s runs there. Starting it twice would destroy its disks. "
                "Make sure that it does not run there (or declare the host off), then start it anyway."
            )
            % {"hosts": ", ".join(str(host) for host in silent), "vm": vm}
        )
    if answers.silent:
        names = ", ".join(str(host) for host in answers.silent)
        run.warn(_("Started on a person's word that it does not run on %(hosts)s.") % {"hosts": names})


def ask_hosts(vm: Vm, hosts: Iterable[Host]) -> Answers:
    """Ask all these hosts at the same time whether the VM is alive there. Blocks up to 20 s."""
    asked = [host for host in hosts if host.observed_state != HostState.FENCED]
    silent = [host for host in asked if host.is_unknown]
    reachable = {host.target.key: host for host in asked if not host.is_unknown}
    uuid = str(vm.uuid)
    answers = guests.ask_all([host.target for host in reachable.values()], lambda conn: guests.state_of(conn, uuid))
    running = []
    for key, answer in answers.items():
        if isinstance(answer, VirtError):
            silent.append(reachable[key])
        elif answer is not None and VmState(answer) in ALIVE | {VmState.UNKNOWN}:
            running.append(reachable[key])
    return Answers(tuple(running), tuple(silent))
