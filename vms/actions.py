"""Which actions a VM offers to whom now: names, icons, and the reason where one is refused."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from access.models import User
from jobs.errors import Text
from jobs.operations import Operation, by_name
from vms.models import Vm
from vms.states import STARTABLE, VmState

# verb in an address -> operation, params
POSTS: dict[str, tuple[str, dict[str, Any]]] = {
    "start": ("vms.start", {}),
    "shutdown": ("vms.shutdown", {}),
    "reboot": ("vms.reboot", {}),
    "force-off": ("vms.force-off", {}),
    "reset": ("vms.reset", {}),
    "pause": ("vms.pause", {}),
    "resume": ("vms.resume", {}),
    "resume-move": ("vms.resume-move", {}),
    "autostart-on": ("vms.autostart", {"enabled": True}),
    "autostart-off": ("vms.autostart", {"enabled": False}),
}


@dataclass(frozen=True)
class Action:
    """One entry of a menu. dialog: opens a dialog, else it is a POST; reason: why not now."""

    verb: str
    label: Text
    icon: str
    operation: str
    dialog: str = ""
    danger: bool = False
    confirm: bool = False


MENU: tuple[tuple[Action, ...], ...] = (
    (
        Action("start", _("Start"), "player-play", "vms.start"),
        Action("resume", _("Resume"), "player-play", "vms.resume"),
        Action("shutdown", _("Shut down"), "power", "vms.shutdown"),
        Action("reboot", _("Reboot"), "refresh", "vms.reboot"),
        Action("pause", _("Pause"), "player-pause", "vms.pause"),
    ),
    (
        Action("reset", _("Reset…"), "rotate-2", "vms.reset", dialog="vms:confirm", danger=True),
        Action("force-off", _("Force off…"), "plug-connected-x", "vms.force-off", dialog="vms:confirm", danger=True),
    ),
    (
        Action("migrate", _("Migrate…"), "arrows-exchange", "vms.migrate", dialog="vms:migrate"),
        Action("resize", _("Resize…"), "arrows-maximize", "vms.resize", dialog="vms:resize"),
        Action("edit", _("Edit…"), "pencil", "vms.edit", dialog="vms:edit"),
        Action("rename", _("Rename…"), "cursor-text", "vms.rename", dialog="vms:rename"),
        Action("snapshot", _("Take a snapshot…"), "camera", "vms.snapshot", dialog="vms:take_snapshot"),
        Action("autostart-on", _("Start with its host"), "toggle-left", "vms.autostart"),
        Action("autostart-off", _("Don't start with its host"), "toggle-right", "vms.autostart"),
    ),
    (
        Action("rebuild", _("Rebuild…"), "restore", "vms.rebuild", dialog="vms:rebuild", danger=True),
        Action("delete", _("Delete…"), "trash", "vms.delete", dialog="vms:delete", danger=True),
        Action("forget", _("Forget…"), "eraser", "vms.forget", dialog="vms:forget", danger=True),
    ),
)


BY_VERB = {action.verb: action for group in MENU for action in group}


@dataclass(frozen=True)
class Offer:
    """An action for one VM: where it leads, or why it is refused now."""

    action: Action
    url: str
    reason: str

    @property
    def is_dialog(self) -> bool:
        return bool(self.action.dialog)


def url_of(vm: Vm, action: Action) -> str:
    if not action.dialog:
        return reverse("vms:act", args=[vm.uuid, action.verb])
    url = reverse(action.dialog, args=[vm.uuid])
    return f"{url}?{urlencode({'verb': action.verb})}" if action.dialog == "vms:confirm" else url


def offer(user: User, vm: Vm, action: Action) -> Offer:
    kind: type[Operation] = by_name(action.operation)
    return Offer(action, url_of(vm, action), str(kind.refusal(user, vm) or ""))


def menu(user: User, vm: Vm) -> list[list[Offer]]:
    """Groups of actions that make sense for this VM and that this person may do; those refused now say why."""
    groups = [
        [offer(user, vm, action) for action in group if _makes_sense(vm, action.verb) and may(user, vm, action)]
        for group in MENU
    ]
    return [group for group in groups if group]


def may(user: User, vm: Vm, action: Action) -> bool:
    """Whether this person may do it to this VM, at another time perhaps."""
    return by_name(action.operation).allowed_to(user, vm)


def _makes_sense(vm: Vm, verb: str) -> bool:
    """Leaves out the half of a pair that is not in question at all."""
    if verb == "start":
        return not vm.is_alive
    if verb == "resume":
        return vm.state == VmState.PAUSED
    if verb in {"shutdown", "reboot", "pause", "reset", "force-off"}:
        return vm.state not in STARTABLE
    if verb in {"autostart-on", "autostart-off"}:
        return vm.autostart == (verb == "autostart-off")
    if verb == "rebuild":
        return vm.image_id is not None
    if verb == "forget":
        return vm.host is None or vm.missing_since is not None or vm.observed_state == VmState.CREATING
    if verb == "delete":
        return vm.host is not None and vm.missing_since is None
    return True


def main_action(user: User, vm: Vm) -> Offer:
    """Start, resume or shut down: what the power button of its page does now."""
    verb = "shutdown" if vm.is_alive else "start"
    if vm.state == VmState.PAUSED:
        verb = "resume"
    return offer(user, vm, BY_VERB[verb])


def row_action(user: User, vm: Vm) -> dict[str, str] | None:
    """The power button of a row, None where nothing is possible now."""
    found = main_action(user, vm)
    if found.reason:
        return None
    return {"url": found.url, "label": str(found.action.label), "icon": found.action.icon}
