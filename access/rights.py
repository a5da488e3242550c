"""What one person was given: loaded once a request, kept with the person's object, forgotten with it."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Model, Q

from access.models import Grant, Membership, Role, User
from access.reach import Reach
from access.roles import ON_GROUP, ON_POOL, ON_VM, OVER_EVERYTHING, OWN, PERMISSIONS

KEPT = "_rights"


class Given(NamedTuple):
    """One role on one thing, by a grant or by managing a group; on everything if all three are None."""

    role: str
    vm: int | None = None
    group: int | None = None
    pool: int | None = None


class Rights:
    """The permissions of one person, by where they hold."""

    def __init__(self, user: User, given: Iterable[Given]) -> None:
        self.user_id = user.pk
        self.given = frozenset(given)
        # an auditor changes nothing, not even there
        self.own = frozenset() if user.role == Role.AUDITOR else OWN | PERMISSIONS[Role.USER.value]
        self.everything = OVER_EVERYTHING.get(user.role, frozenset())
        self.vms: dict[str, set[int]] = defaultdict(set)
        self.groups: dict[str, set[int]] = defaultdict(set)
        self.pools: dict[str, set[int]] = defaultdict(set)
        for one in self.given:
            self._add(one)

    def _add(self, one: Given) -> None:
        brings = PERMISSIONS.get(one.role, frozenset())
        for key, places, scope in ((one.vm, self.vms, ON_VM), (one.group, self.groups, ON_GROUP)):
            for permission in brings & scope if key is not None else ():
                places[permission].add(key)  # type: ignore[arg-type]
        if one.pool is not None:
            for permission in brings & ON_POOL:
                self.pools[permission].add(one.pool)
        if one.vm is None and one.group is None and one.pool is None:
            self.everything |= brings

    def somewhere(self, permission: str) -> bool:
        places = (self.everything, self.own, self.vms, self.groups, self.pools)
        return any(permission in place for place in places)

    @cached_property
    def vm_keys(self) -> frozenset[str]:
        """UUIDs of the VMs whose jobs by anybody this person may see."""
        vms, groups = self.vms.get("jobs.all", set()), self.groups.get("jobs.all", set())
        if not vms and not groups:
            return frozenset()
        rows = apps.get_model("vms.Vm")._default_manager.filter(Q(pk__in=vms) | Q(group__in=groups))
        return frozenset(str(uuid) for uuid in rows.order_by().values_list("uuid", flat=True))

    def targets(self, permission: str) -> dict[str, list[str]]:
        """What jobs are about, by kind, on which this permission holds."""
        if permission != "jobs.all":
            return {}
        return {"vm": sorted(self.vm_keys), "pool": sorted(map(str, self.pools.get(permission, ())))}

    def query(self, permission: str, reach: Reach) -> Q:
        """The rows of a model on which this permission holds; for a person who has it not over everything."""
        found = Q(pk__in=())
        if reach.owner and permission in self.own:
            found |= Q(**{reach.owner: self.user_id})
        for path, places in ((reach.vm, self.vms), (reach.group, self.groups), (reach.pool, self.pools)):
            if path and places.get(permission):
                found |= Q(**{f"{path}__in": places[permission]})
        for kind, keys in self.targets(permission).items() if reach.has_target else ():
            if keys:
                found |= Q(target_kind=kind, target_key__in=keys)
        return found

    def holds_on(self, permission: str, reach: Reach, thing: Model) -> bool:
        """The same for one row, without a query if what it points to is loaded."""
        if reach.owner and permission in self.own and value_at(thing, reach.owner) == self.user_id:
            return True
        for path, places in ((reach.vm, self.vms), (reach.group, self.groups), (reach.pool, self.pools)):
            if path and (there := places.get(permission)) and value_at(thing, path) in there:
                return True
        if not reach.has_target:
            return False
        kind, key = value_at(thing, "target_kind"), value_at(thing, "target_key")
        return key in self.targets(permission).get(kind, [])


def value_at(thing: Model, path: str) -> Any:
    """The value a look-up path leads to; the key of a row, not the row."""
    found: Any = thing
    *way, last = path.split("__")
    for step in way:
        found = getattr(found, step)
        if found is None:
            return None
    return getattr(found, found._meta.get_field(last).attname if last != "pk" else "pk")


def rights_of(user: User) -> Rights:
    """Two queries, the first time."""
    if KEPT not in user.__dict__:
        load([user])
    rights: Rights = user.__dict__[KEPT]
    return rights


def stamp(user: User) -> str:
    """Changes when the role or what was given changes."""
    return f"{user.role} {user.is_superuser} {sorted(map(repr, rights_of(user).given))}"


def load(people: Iterable[User]) -> None:
    """Load what these people were given. Two queries for any number of them."""
    by_key = {person.pk: person for person in people}
    given: dict[int, set[Given]] = {key: set() for key in by_key}
    groups: dict[int, set[int]] = defaultdict(set)  # a group's people, of those asked for
    rows = Membership.objects.filter(user__in=by_key).order_by()
    for user, group, is_manager in rows.values_list("user", "group", "is_manager"):
        groups[group].add(user)
        if is_manager:
            given[user].add(Given(Role.OPERATOR.value, group=group))
    grants = Grant.objects.in_force().filter(Q(to_user__in=by_key) | Q(to_group__in=groups)).order_by()
    columns = ("to_user", "to_group", "role", "on_vm", "on_group", "on_pool")
    for user, group, role, *target in grants.values_list(*columns):
        for key in groups[group] if user is None else {user}:
            given[key].add(Given(role, *target))
    for key, person in by_key.items():
        person.__dict__[KEPT] = Rights(person, given[key])
