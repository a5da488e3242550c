"""The history of a request: every change of its state is one step, told to open pages and to the audit.

Whoever changes one holds its row until the transaction ends.
"""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from access.models import User
from audit import actions
from audit.entries import record
from jobs.errors import Refused
from selfservice import quotas, telling
from selfservice.models import Request, RequestEvent
from selfservice.states import OVER, TRANSITIONS, RequestState, Step
from ui import live
from ui.text import Text
from vms.models import Vm
from vms.states import VmState

for one in Step:
    actions.name(f"selfservice.{one.value}", one.label)


def locked(request: Request) -> Request:
    """Its row as it is now, held. Inside a transaction."""
    return Request.objects.select_for_update(of=("self",)).get(pk=request.pk)


def publish(request: Request) -> None:
    transaction.on_commit(lambda: live.publish(f"request.{request.pk}", "requests"), robust=True)


@transaction.atomic
def change(
    request: Request, to: RequestState, step: Step, *, by: User | None, why: Text = "", **columns: Any
) -> Request:
    """The only way from one state to another. Raises Refused if there is no way. `by` None: Drover itself."""
    row = locked(request)
    before = RequestState(row.state)
    if to not in TRANSITIONS.get(before, ()):
        raise not_possible(row)
    row.state = to
    if to in OVER:
        columns["next_at"] = None
    for name, value in columns.items():
        setattr(row, name, value)
    row.save(update_fields=["state", *columns])
    note(row, step, by=by, why=why, before=before)
    if to in OVER:
        quotas.release(str(step.label), request=row)
    request.refresh_from_db()
    return row


def note(row: Request, step: Step, *, by: User | None, why: Text = "", before: str = "") -> None:
    """A step in the request's history, in the audit, to open pages, and to the people it is about."""
    why = str(why)
    RequestEvent.objects.create(request=row, before=before, after=row.state, by=by, step=step, why=why)
    record(f"selfservice.{step}", f"{step.label}: {row}", by=by, on=row, reason=why)
    telling.of_step(row, step, by, why)
    publish(row)


def not_possible(request: Request) -> Refused:
    return Refused(_("Not possible: the request is %(state)s.") % {"state": request.get_state_display()})


def vms_of(request: Request) -> QuerySet[Vm]:
    """What was made of it and is still there, with what is being made."""
    return Vm.objects.filter(reservations__request=request).order_by("name").distinct()


def made(request: Request) -> QuerySet[Vm]:
    """Those of them that are there, and not half made."""
    return vms_of(request).exclude(observed_state=VmState.CREATING)
