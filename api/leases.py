"""What becomes of a request's lease: more time, pinning, giving back. As on the pages."""

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import PermissionDenied
from django.utils import timezone
from ninja import Router
from pydantic import Field

from access.rules import PersonRequest
from api.forms import cleaned
from api.requests import NOT_DONE, Count, RejectIn, RequestDetailOut, Text, one_of
from api.schemas import In
from selfservice import deciding, leases
from selfservice.lease_forms import GrantForm, LongerForm, PinForm
from selfservice.models import Request
from selfservice.request_forms import RejectForm
from ui.forms import TypedForm

router = Router(tags=["leases"])
DONE = {200: RequestDetailOut, **NOT_DONE}


class LongerIn(In):
    days: Count = Field(description="from its end on; from now on if it has ended")
    why: Text


class GrantIn(In):
    days: Count
    why: Text = ""


class PinIn(In):
    why: Text = ""


class ReturnIn(In):
    name: Annotated[str, Field(max_length=100)] = Field(description="the request's, so that it is the right one")


def _may(caller: PersonRequest, request_id: int, right: Any) -> tuple[Request, datetime]:
    """The request, and now. Raises PermissionDenied without this right to it."""
    found = one_of(caller, request_id)
    if not right(caller.user, found):
        raise PermissionDenied
    return found, timezone.now()


@router.post("/requests/{request_id}/extend", response=DONE)
def extend_request(request: PersonRequest, request_id: int) -> Any:
    """Another lease, up to the longest time that the offer gives. Ended and archived VMs can be started again."""
    found, now = _may(request, request_id, leases.may_extend)
    leases.extend(found, request.user, now=now)
    return one_of(request, request_id)


@router.post("/requests/{request_id}/more-time", response=DONE)
def ask_for_more_time(request: PersonRequest, request_id: int, wish: LongerIn) -> Any:
    """More than the offer gives: somebody decides about it."""
    found, now = _may(request, request_id, leases.may_extend)
    data = cleaned(LongerForm(wish.dict()))
    leases.ask_longer(found, request.user, data["days"], data["why"], now=now)
    return one_of(request, request_id)


@router.post("/requests/{request_id}/more-time/give", response=DONE)
def give_more_time(request: PersonRequest, request_id: int, wish: GrantIn) -> Any:
    """As many days as were asked for, or others."""
    found, now = _may(request, request_id, deciding.may_decide)
    data = cleaned(GrantForm(wish.dict()))
    leases.grant(found, request.user, data["days"], data["why"], now=now)
    return one_of(request, request_id)


@router.post("/requests/{request_id}/more-time/reject", response=DONE)
def reject_more_time(request: PersonRequest, request_id: int, wish: RejectIn) -> Any:
    """With a reason, which who asked reads."""
    found, _now = _may(request, request_id, deciding.may_decide)
    leases.refuse(found, request.user, cleaned(RejectForm(wish.dict()))["why"])
    return one_of(request, request_id)


@router.post("/requests/{request_id}/pin", response=DONE)
def pin_request(request: PersonRequest, request_id: int, wish: PinIn) -> Any:
    """It neither ends, nor is it archived or deleted, until it is no longer pinned."""
    found, now = _may(request, request_id, lambda user, _found: leases.may_pin(user))
    leases.pin(found, request.user, cleaned(PinForm(wish.dict()))["why"], now=now)
    return one_of(request, request_id)


@router.post("/requests/{request_id}/unpin", response=DONE)
def unpin_request(request: PersonRequest, request_id: int) -> Any:
    """Its lease goes on, with a fresh time of warning."""
    found, now = _may(request, request_id, lambda user, _found: leases.may_pin(user))
    leases.unpin(found, request.user, now=now)
    return one_of(request, request_id)


@router.post("/requests/{request_id}/keep", response=DONE)
def keep_request(request: PersonRequest, request_id: int) -> Any:
    """It was suggested for return because nobody uses it, and is needed all the same."""
    found, now = _may(request, request_id, leases.may_extend)
    leases.keep(found, request.user, now=now)
    return one_of(request, request_id)


@router.post("/requests/{request_id}/return", response=DONE)
def give_back_request(request: PersonRequest, request_id: int, wish: ReturnIn) -> Any:
    """Its VMs are deleted with their disks, for good; the request is deleted when they are."""
    found, now = _may(request, request_id, leases.may_return)
    cleaned(TypedForm({"typed": wish.name}, name=found.pattern))
    leases.give_back(found, request.user, now=now)
    return one_of(request, request_id)
