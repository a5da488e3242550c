"""What is wrong with a VM and what to do about it, for its page. Database only."""

from dataclasses import dataclass, field, replace
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from access.models import User
from access.rules import can, visible
from jobs.discretion import sees_all, shown
from jobs.errors import Text
from jobs.models import Job
from jobs.states import State
from vms.models import Vm
from vms.operations.base import busy
from vms.operations.law4 import silent_hosts
from vms.states import ALIVE, STARTABLE, VmState


@dataclass(frozen=True)
class Way:
    """One way out: a dialog or a POST."""

    label: Text
    url: str
    is_dialog: bool = True
    is_danger: bool = False
    is_post: bool = False


@dataclass(frozen=True)
class Trouble:
    """level: danger, warning or info."""

    level: str
    title: Text
    text: Text
    ways: list[Way] = field(default_factory=list)
    job: Job | None = None


def troubles(vm: Vm, user: User) -> list[Trouble]:
    """All that a person should know and do, the worst first."""
    found = [*_duplicate(vm, user), *_nowhere(vm, user), *_silent(vm), *_creating(vm, user), *_state(vm)]
    if busy(vm) is None:
        found += _last_job(vm, user)
    return found if sees_all(user) else [_discreet(one, user, vm) for one in found]


def _discreet(one: Trouble, user: User, vm: Vm) -> Trouble:
    """For who sees no hosts: without their names, and without the way to their pages."""
    host = vm.host.get_absolute_url() if vm.host else ""
    ways = [replace(way, label=shown(user, way.label)) for way in one.ways if way.url != host]
    return replace(one, title=shown(user, one.title), text=shown(user, one.text), ways=ways)


def _duplicate(vm: Vm, user: User) -> list[Trouble]:
    if not vm.is_duplicate:
        return []
    alive = [one for one in vm.presences.select_related("host") if one.observed_state in ALIVE]
    url = reverse("vms:confirm", args=[vm.uuid])
    ways = [
        Way(
            _("Force it off on %(host)s…") % {"host": presence.host},
            f"{url}?verb=force-off&host={presence.host_id}",
            is_danger=True,
        )
        for presence in alive
        if can(user, "vms.power", vm)
    ]
    names = ", ".join(str(presence.host) for presence in alive)
    text = _(
        "Two copies write to the same disks and destroy them. Look at both consoles, decide which one is right, "
        "and force the other one off at once."
    )
    return [Trouble("danger", _("It runs on more than one host: %(hosts)s") % {"hosts": names}, text, ways)]


def _nowhere(vm: Vm, user: User) -> list[Trouble]:
    if vm.observed_state == VmState.CREATING or (vm.missing_since is None and vm.host is not None):
        return []
    ways = []
    if can(user, "vms.delete", vm):
        ways.append(Way(_("Forget it…"), reverse("vms:forget", args=[vm.uuid]), is_danger=True))
    where = _("It was last seen on %(host)s.") % {"host": vm.host} if vm.host else ""
    text = _(
        "No host reports it any more: somebody undefined it there, or moved it to a host that Drover does not know. "
        "If it comes back, its owner, tags and history are still here. Its disks were not touched."
    )
    return [Trouble("danger", _("Missing"), f"{text} {where}".strip(), ways)]


def _silent(vm: Vm) -> list[Trouble]:
    if vm.host is None or vm.missing_since is not None or not vm.host.is_unknown:
        return []
    if vm.observed_state == VmState.CREATING:
        return []
    title = _("%(host)s does not answer") % {"host": vm.host}
    was = VmState(vm.observed_state).label
    text = _(
        "Nobody knows what this VM does now; when last seen it was %(state)s. It may well be running. "
        "See to the host first, and do not start a copy elsewhere."
    ) % {"state": was}
    return [Trouble("warning", title, text, [Way(_("Look at the host"), vm.host.get_absolute_url(), is_dialog=False)])]


def _creating(vm: Vm, user: User) -> list[Trouble]:
    if vm.observed_state != VmState.CREATING or busy(vm) is not None:
        return []
    jobs = Job.objects.filter(target_kind="vm", target_key=str(vm.uuid), operation="vms.create").order_by("-pk")
    job = jobs.first()
    if job is not None and job.is_active:
        return [Trouble("info", _("Being made"), _("The job waits for its turn."), job=job)]
    ways = []
    if can(user, "vms.delete", vm):
        ways.append(Way(_("Forget it…"), reverse("vms:forget", args=[vm.uuid]), is_danger=True))
    text = _("Making it failed, and its host could not be cleaned up; the job's log names what is left there.")
    return [Trouble("danger", _("Not made"), text, ways, job)]


def _state(vm: Vm) -> list[Trouble]:
    if vm.state == VmState.CRASHED:
        text = _("The guest or QEMU ended by itself. It can be started again; its console or QEMU's log may say why.")
        return [Trouble("danger", _("Crashed"), text)]
    if not vm.is_persistent and vm.is_alive:
        text = _("Its host keeps no definition: it is gone for good as soon as it stops.")
        return [Trouble("warning", _("Only as long as it runs"), text)]
    return []


def _last_job(vm: Vm, user: User) -> list[Trouble]:
    """The last job failed in a way that leaves a person a choice."""
    rows = Job.objects.filter(target_kind="vm", target_key=str(vm.uuid)).order_by("-pk")
    job = visible(user, rows).first()
    if job is None or job.state != State.FAILED or not can(user, "vms.power", vm):
        return []
    if job.result.get("torn"):
        return [_torn(vm, user, job)]
    result: dict[str, Any] = job.result
    if job.operation == "vms.shutdown" and result.get("choice") == "off" and vm.is_alive:
        wait = reverse("vms:act", args=[vm.uuid, "shutdown"])
        more = Way(_("Wait 2 more minutes"), wait, is_dialog=False, is_post=True)
        off = Way(_("Force off…"), reverse("vms:confirm", args=[vm.uuid]) + "?verb=force-off", is_danger=True)
        return [Trouble("warning", _("It did not shut down"), job.error, [more, off], job)]
    if job.operation == "vms.start" and vm.state in STARTABLE and result.get("silent_hosts"):
        ways = [Way(_("Try again"), reverse("vms:act", args=[vm.uuid, "start"]), is_dialog=False, is_post=True)]
        if silent_hosts(vm) and can(user, "hosts.view"):
            ways.append(Way(_("Start anyway…"), reverse("vms:start_anyway", args=[vm.uuid]), is_danger=True))
        return [Trouble("warning", _("Not started, to be safe"), job.error, ways, job)]
    return []


def _torn(vm: Vm, user: User, job: Job) -> Trouble:
    """Its way broke during post-copy: a part of its memory is on each of two hosts."""
    ways = []
    if can(user, "vms.migrate", vm):
        url = reverse("vms:act", args=[vm.uuid, "resume-move"])
        ways.append(Way(_("Resume the move"), url, is_dialog=False, is_post=True))
    off = reverse("vms:confirm", args=[vm.uuid]) + "?verb=force-off"
    held = vm.presences.filter(missing_since=None, observed_state__in=ALIVE).select_related("host")
    for presence in held:
        url = f"{off}&host={presence.host_id}"
        ways.append(Way(_("Force it off on %(host)s…") % {"host": presence.host}, url, is_danger=True))
    return Trouble("danger", _("Its move broke off: each host has a part of its memory"), job.error, ways, job)
