"""The actions on all VMs of a class. Each is one job."""

from datetime import datetime
from typing import NamedTuple

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from access.models import User
from access.rules import can
from jobs.engine import enqueue
from jobs.errors import Refused, Text
from jobs.models import Job
from jobs.operations import Operation
from selfservice import classes
from selfservice.class_operations import START, EndClass, GiveClassUntil
from selfservice.models import LabClass
from vms.models import Vm
from vms.operations.bulk import BulkVms
from vms.states import ALIVE, STARTABLE


class Action(NamedTuple):
    """One button. operation: of many VMs, "" for what is done to their leases; asks: whether a dialog asks first."""

    verb: str
    label: Text
    icon: str
    operation: str = ""
    asks: bool = True
    is_bad: bool = False
    explains: Text = ""


ACTIONS = (
    Action("start", _("Start all"), "player-play", "vms.start", asks=False),
    Action("shutdown", _("Shut down all"), "power", "vms.shutdown", asks=False),
    Action(
        "force-off",
        _("Force off all"),
        "plug-connected-x",
        "vms.force-off",
        is_bad=True,
        explains=_("As pulling the plug: what the guests had not written to their disks is lost."),
    ),
    Action(
        "reset",
        _("Reset all to the start"),
        "history",
        "vms.snapshot-revert",
        is_bad=True,
        explains=_("Each VM goes back to its start snapshot: all that was done in it since is lost."),
    ),
    Action(
        "snapshot",
        _("New start snapshots"),
        "camera",
        "vms.snapshot-renew",
        explains=_("What each VM is now is what it is reset to from now on. The start snapshots until now go."),
    ),
    Action("until", _("Give until a date"), "hourglass"),
    Action(
        "end",
        _("End the class"),
        "trash",
        is_bad=True,
        explains=_("All its VMs are deleted with their disks, now. This can't be undone."),
    ),
)
BY_VERB = {action.verb: action for action in ACTIONS}


def concerned(user: User, lab_class: LabClass, verb: str) -> QuerySet[Vm]:
    """The VMs that an action on many is for now."""
    rows = classes.vms_of(user, lab_class)
    if verb == "start":
        return rows.filter(observed_state__in=STARTABLE)
    if verb in {"shutdown", "force-off"}:
        return rows.filter(observed_state__in=ALIVE)
    return rows.filter(snapshots__name=START) if verb == "reset" else rows


def act(user: User, lab_class: LabClass, verb: str, until: datetime | None = None) -> Job:
    """The job. Raises Refused, PermissionDenied."""
    if not can(user, "classes.manage", lab_class):
        raise PermissionDenied
    job = enqueue(_operation(user, lab_class, BY_VERB[verb], until), user=user)
    LabClass.objects.filter(pk=lab_class.pk).update(job=job)
    return job


def _operation(user: User, lab_class: LabClass, action: Action, until: datetime | None) -> Operation:
    if action.verb == "until":
        return GiveClassUntil(lab_class, {"until": until.isoformat() if until else ""})
    if action.verb == "end":
        return EndClass(lab_class)
    uuids = [str(uuid) for uuid in concerned(user, lab_class, action.verb).values_list("uuid", flat=True)]
    if not uuids:
        raise Refused(_("There is none of its VMs for which this is possible now."))
    params = {"name": START} if action.verb in {"reset", "snapshot"} else {}
    return BulkVms(None, {"verb": action.operation, "vms": uuids, "params": params})
