"""Quotas: one's own, and for administrators everybody's. Sizes in bytes; null is no limit. Changed without a job."""

from typing import Annotated, Any

from django.db.models import QuerySet
from ninja import Router, Schema, Status
from ninja.pagination import paginate
from pydantic import Field

from access.rules import PersonRequest
from api.forms import cleaned
from api.pages import Pieces
from api.people import group_of, person_of
from api.rights import require
from api.schemas import In, Problem
from selfservice import quotas
from selfservice.forms import MOST, QuotaForm
from selfservice.models import Quota
from selfservice.usage import Holder, usage_of

router = Router(tags=["quotas"])
NOT_DONE = {403: Problem, 404: Problem, 422: Problem}
Count = Annotated[int, Field(ge=0, le=MOST)]
Size = Annotated[int, Field(ge=0, le=2**62)]


class Limits(Schema):
    vms: int | None
    running_vms: int | None
    vcpus: int | None
    memory_bytes: int | None
    disk_bytes: int | None
    snapshots: int | None


class LimitsIn(In):
    vms: Count | None = None
    running_vms: Count | None = None
    vcpus: Count | None = None
    memory_bytes: Size | None = None
    disk_bytes: Size | None = None
    snapshots: Count | None = None


class Used(Schema):
    vms: int
    running_vms: int
    vcpus: int
    memory_bytes: int
    disk_bytes: int
    snapshots: int


class QuotaOut(Schema):
    """is_own: not what is for everybody. used: by their VMs, and what is reserved for them."""

    is_own: bool
    limits: Limits
    used: Used


class QuotaRow(Limits):
    """One quota that was set. Neither user nor group: for everybody without one of their own."""

    user: str | None
    group: str | None

    @staticmethod
    def resolve_user(row: Quota) -> str | None:
        return row.user.username if row.user else None

    @staticmethod
    def resolve_group(row: Quota) -> str | None:
        return row.group.name if row.group else None


def told(holder: Holder) -> dict[str, Any]:
    quota, own = quotas.quota_of(holder), quotas.key_of(holder)
    return {
        "is_own": Quota.objects.filter(**own).exists(),
        "limits": (quota or Quota()).limits(),
        "used": usage_of(holder)._asdict(),
    }


def set_to(holder: Holder | None, wish: LimitsIn) -> Quota:
    return quotas.set_limits(holder, cleaned(QuotaForm(wish.dict())))


@router.get("/quotas/mine", response=QuotaOut)
def get_my_quota(request: PersonRequest) -> Any:
    """What you may have, and what you have of it."""
    return told(request.user)


@router.get("/quotas", response=list[QuotaRow])
@paginate(Pieces)
def list_quotas(request: PersonRequest) -> QuerySet[Quota]:
    """Every quota that was set."""
    require(request, "access.view")
    return Quota.objects.select_related("user", "group")


@router.put("/quotas/everybody", response={200: QuotaRow, **NOT_DONE})
def set_quota_of_everybody(request: PersonRequest, wish: LimitsIn) -> Any:
    """For each person without a quota of their own; what is left out has no limit."""
    require(request, "access.manage")
    return set_to(None, wish)


@router.get("/people/{person_id}/quota", response={200: QuotaOut, 404: Problem})
def get_quota_of_person(request: PersonRequest, person_id: int) -> Any:
    """What a person may have, and has."""
    return told(person_of(request, person_id, "access.view"))


@router.put("/people/{person_id}/quota", response={200: QuotaOut, **NOT_DONE})
def set_quota_of_person(request: PersonRequest, person_id: int, wish: LimitsIn) -> Any:
    """A quota of their own; what is left out has no limit."""
    person = person_of(request, person_id)
    set_to(person, wish)
    return told(person)


@router.delete("/people/{person_id}/quota", response={204: None, **NOT_DONE})
def drop_quota_of_person(request: PersonRequest, person_id: int) -> Any:
    """What is for everybody holds for them again."""
    quotas.drop(person_of(request, person_id))
    return Status(204, None)


@router.get("/groups/{group_id}/quota", response={200: QuotaOut, 404: Problem})
def get_quota_of_group(request: PersonRequest, group_id: int) -> Any:
    """What a group's VMs may be together, and are."""
    return told(group_of(request, group_id, ""))


@router.put("/groups/{group_id}/quota", response={200: QuotaOut, **NOT_DONE})
def set_quota_of_group(request: PersonRequest, group_id: int, wish: LimitsIn) -> Any:
    """A quota for all its VMs together; what is left out has no limit."""
    group = group_of(request, group_id)
    set_to(group, wish)
    return told(group)


@router.delete("/groups/{group_id}/quota", response={204: None, **NOT_DONE})
def drop_quota_of_group(request: PersonRequest, group_id: int) -> Any:
    """The group has no limit of its own any more."""
    quotas.drop(group_of(request, group_id))
    return Status(204, None)
