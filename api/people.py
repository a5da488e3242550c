"""People, groups and grants: as administrators change them on the pages. Changed at once, without a job."""

from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Query, Router, Status
from ninja.pagination import paginate

from access import groups, people
from access.groups import GRANT_PARTS
from access.models import Grant, Group, Membership, User
from access.people_forms import EditPersonForm, GroupForm, NewPersonForm, vms_called
from access.rules import PersonRequest, find, role_of, visible
from api.forms import Invalid, cleaned
from api.pages import Pieces
from api.people_schemas import (
    GrantIn,
    GrantOut,
    GroupChangeIn,
    GroupDetailOut,
    GroupIn,
    GroupOut,
    MembersIn,
    MembersOut,
    NewPersonOut,
    PasswordIn,
    PasswordOut,
    PersonChangeIn,
    PersonIn,
    PersonOut,
)
from api.rights import require
from api.schemas import Problem
from storage.models import Pool

router = Router(tags=["people"])
M = TypeVar("M", bound=Model)
NOT_DONE = {403: Problem, 404: Problem, 409: Problem, 422: Problem}
TEXTS = ("first_name", "last_name", "email", "role")


def person_of(request: PersonRequest, person_id: int, permission: str = "access.manage") -> User:
    require(request, permission)
    return get_object_or_404(User.objects.prefetch_related("member_of"), pk=person_id)


def group_of(request: PersonRequest, group_id: int, permission: str = "access.manage") -> Group:
    require(request, "groups.view")
    return find(request.user, Group.objects.all(), permission, pk=group_id)


@router.get("/people", response=list[PersonOut])
@paginate(Pieces)
def list_people(request: PersonRequest, q: str = Query(""), role: str = Query("")) -> QuerySet[User]:
    """People by username; `q` is a part of it."""
    require(request, "access.view")
    rows = User.objects.prefetch_related("member_of").order_by("username")
    rows = rows.filter(username__icontains=q) if q else rows
    return rows.filter(role=role) if role else rows


@router.post("/people", response={201: NewPersonOut, **NOT_DONE})
def add_person(request: PersonRequest, wish: PersonIn) -> Any:
    """A new person. The first password is in the answer, and nowhere else."""
    require(request, "access.manage")
    data = cleaned(NewPersonForm(wish.dict()))
    made, shown = people.add(request.user, {name: data[name] for name in people.FIELDS}, data["password"])
    made.first_password = shown  # type: ignore[attr-defined]
    return Status(201, made)


@router.get("/people/{person_id}", response={200: PersonOut, 404: Problem})
def get_person(request: PersonRequest, person_id: int) -> Any:
    """One person, their role and groups."""
    return person_of(request, person_id, "access.view")


@router.patch("/people/{person_id}", response={200: PersonOut, **NOT_DONE})
def change_person(request: PersonRequest, person_id: int, wish: PersonChangeIn) -> Any:
    """Names, mail, role, and whether they may log in; what is left out stays."""
    person, given = person_of(request, person_id), wish.dict(exclude_unset=True)
    is_active = given.pop("is_active", None)
    if given:
        now = {name: getattr(person, name) for name in TEXTS} | {"role": role_of(person)}
        data = cleaned(EditPersonForm({**now, **given}))
        people.change(request.user, person, {name: data[name] for name in given})
    if is_active is not None and is_active != person.is_active:
        people.set_active(request.user, person, is_active=is_active)
    return person


@router.post("/people/{person_id}/password", response={200: PasswordOut, **NOT_DONE})
def set_person_password(request: PersonRequest, person_id: int, wish: PasswordIn) -> Any:
    """A new password for somebody else; their web sessions end."""
    return {"password": people.set_password(request.user, person_of(request, person_id), wish.password)}


@router.delete("/people/{person_id}", response={204: None, **NOT_DONE})
def delete_person(request: PersonRequest, person_id: int) -> Any:
    """Refused while they own VMs, and while the record names them: then set `is_active` to false."""
    people.delete(request.user, person_of(request, person_id))
    return Status(204, None)


@router.get("/groups", response=list[GroupOut])
@paginate(Pieces)
def list_groups(request: PersonRequest) -> QuerySet[Group]:
    """Groups by name: all, or those one manages."""
    require(request, "groups.view")
    return visible(request.user, Group.objects.all())


@router.post("/groups", response={201: GroupOut, **NOT_DONE})
def add_group(request: PersonRequest, wish: GroupIn) -> Any:
    """A new group, with nobody in it."""
    require(request, "access.manage")
    return Status(201, Group.objects.create(**cleaned(GroupForm(wish.dict()))))


@router.get("/groups/{group_id}", response={200: GroupDetailOut, 404: Problem})
def get_group(request: PersonRequest, group_id: int) -> Any:
    """One group with its people."""
    return group_of(request, group_id, "")


@router.patch("/groups/{group_id}", response={200: GroupOut, **NOT_DONE})
def change_group(request: PersonRequest, group_id: int, wish: GroupChangeIn) -> Any:
    """Name and description; what is left out stays."""
    group = group_of(request, group_id)
    now = {"name": group.name, "description": group.description}
    data = cleaned(GroupForm({**now, **wish.dict(exclude_unset=True)}, group=group))
    group.name, group.description = data["name"], data["description"]
    group.save(update_fields=["name", "description"])
    return group


@router.delete("/groups/{group_id}", response={204: None, **NOT_DONE})
def delete_group(request: PersonRequest, group_id: int) -> Any:
    """Its people and VMs stay; what was granted to it or on it ends."""
    group_of(request, group_id).delete()
    return Status(204, None)


@router.post("/groups/{group_id}/members", response={200: MembersOut, **NOT_DONE})
def add_members(request: PersonRequest, group_id: int, wish: MembersIn) -> Any:
    """People into a group, or up to managers and back; names that nobody has are told, not made."""
    group = group_of(request, group_id)
    added = groups.put_in(request.user, group, wish.usernames, is_manager=bool(wish.is_manager))
    if wish.is_manager is False:
        for one in group.memberships.filter(user__in=added.there, is_manager=True).select_related("user", "group"):
            groups.set_manager(request.user, one, is_manager=False)
    new, there = ([person.username for person in some] for some in (added.new, added.there))
    return {"added": new, "there": there, "unknown": added.unknown}


@router.delete("/groups/{group_id}/members/{username}", response={204: None, **NOT_DONE})
def remove_member(request: PersonRequest, group_id: int, username: str) -> Any:
    """Take somebody out of a group."""
    group = group_of(request, group_id)
    get_object_or_404(Membership, group=group, user__username=username).delete()
    return Status(204, None)


@router.get("/grants", response=list[GrantOut])
@paginate(Pieces)
def list_grants(request: PersonRequest) -> QuerySet[Grant]:
    """All grants, newest first; those that are over among them."""
    require(request, "access.view")
    return visible(request.user, Grant.objects.select_related(*GRANT_PARTS))


@router.post("/grants", response={201: GrantOut, **NOT_DONE})
def give_grant(request: PersonRequest, wish: GrantIn) -> Any:
    """Give a person or a group a role: on one VM, on the VMs of a group, on a pool, or on everything."""
    require(request, "access.manage")
    given = {
        "to_user": _one(User.objects.filter(username=wish.to_user), "to_user") if wish.to_user else None,
        "to_group": _one(Group.objects.filter(pk=wish.to_group), "to_group") if wish.to_group is not None else None,
        "on_vm": _vm(wish.vm) if wish.vm else None,
        "on_group": _one(Group.objects.filter(pk=wish.group), "group") if wish.group is not None else None,
        "on_pool": _one(Pool.objects.filter(pk=wish.pool), "pool") if wish.pool is not None else None,
    }
    is_on_one = any(given[column] is not None for column in groups.SCOPES)
    if is_on_one == wish.everything:
        raise Invalid({"everything": [_("Choose one thing, or everything.")]})
    return Status(201, groups.give(request.user, wish.role, _until(wish.until), **given))


@router.delete("/grants/{grant_id}", response={204: None, **NOT_DONE})
def take_grant(request: PersonRequest, grant_id: int) -> Any:
    """Take a right away; it ends at once."""
    require(request, "access.view")
    groups.take_away(request.user, find(request.user, Grant.objects.all(), "access.manage", pk=grant_id))
    return Status(204, None)


def _one(rows: QuerySet[M], field: str) -> M:
    found = rows.first()
    if found is None:
        raise Invalid({field: [_("There is no such thing.")]})
    return found


def _vm(text: str) -> Model:
    found = vms_called(text)
    if len(found) != 1:
        raise Invalid({"vm": [_("Several VMs are called so: write the UUID.") if found else _("There is no such VM.")]})
    return found[0]


def _until(until: datetime | None) -> datetime | None:
    return timezone.make_aware(until) if until is not None and timezone.is_naive(until) else until
