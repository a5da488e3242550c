"""The one place that decides who may do and see what. Pages, API, live socket, consoles and jobs ask it.

What a person may not see is not there for them (404). What they see and may not change is forbidden (403).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeGuard, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from access.models import Role, User
from access.reach import Reach
from access.rights import rights_of
from access.roles import ADMINISTRATOR_PERMISSIONS, OVER_EVERYTHING

M = TypeVar("M", bound=Model)
Person = User | AnonymousUser


class PersonRequest(HttpRequest):
    """The type of a request behind a login: LoginRequiredMiddleware and the API let nobody else through to a view."""

    user: User


def role_of(user: Person) -> str:
    return Role.ADMINISTRATOR.value if user.is_superuser else getattr(user, "role", "")


def is_somebody(user: Person) -> TypeGuard[User]:
    return bool(user.is_authenticated and user.is_active)


def everywhere(user: Person, permission: str) -> bool:
    """Whether this person may do this on anything of the cluster. A name no role has is a programming error."""
    if permission not in ADMINISTRATOR_PERMISSIONS:
        raise ValueError(f"unknown permission {permission!r}")
    if not is_somebody(user):
        return False
    if permission in OVER_EVERYTHING.get(role_of(user), ()):
        return True
    return permission in rights_of(user).everything


def can(user: Person, permission: str, thing: Model | None = None) -> bool:
    """Whether this person may do this on this thing; without one: on anything at all, so that it is offered.

    Queries only what the person was given, once (`access.rights`), for people whose role does not say it already.
    """
    if everywhere(user, permission):
        return True
    if not is_somebody(user):
        return False
    rights = rights_of(user)
    return rights.somewhere(permission) if thing is None else rights.holds_on(permission, reach_of(type(thing)), thing)


def reach_of(model: type[Model]) -> Reach:
    reach = getattr(model, "reach", None)
    if not isinstance(reach, Reach):
        raise TypeError(f"{model.__name__} does not say who may see it")
    return reach


def visible(user: Person, rows: QuerySet[M], permission: str = "") -> QuerySet[M]:
    """The rows this person may see; with a permission: those of them on which they have it."""
    reach = reach_of(rows.model)
    permission = permission or reach.permission
    if everywhere(user, permission):
        return rows
    if not is_somebody(user):
        return rows.none()
    return rows.filter(rights_of(user).query(permission, reach))


def find(user: Person, rows: QuerySet[M], permission: str = "", **key: Any) -> M:
    """One row. Raises Http404 if this person may not see it, PermissionDenied if they see it but may not do this."""
    found = get_object_or_404(visible(user, rows), **key)
    if permission and not can(user, permission, found):
        raise PermissionDenied
    return found


SEES = {"jobs": "jobs.all"} | {
    kind: f"{kind}.view" for kind in ("access", "audit", "classes", "cluster", "groups", "hosts", "people")
}
SEES |= {"selfservice": "selfservice.catalogue", "storage": "storage.view", "vms": "vms.view"}


def require(user: Person, permission: str, *, on_all: bool = False) -> None:
    """Raise unless this person may do this (somewhere, or on_all: anywhere): PermissionDenied if they see all things
    of the kind, and Http404 if it is none of their business."""
    if everywhere(user, permission) if on_all else can(user, permission):
        return
    if everywhere(user, SEES[permission.partition(".")[0]]):
        raise PermissionDenied
    raise Http404


View = Callable[..., HttpResponse]


def permission_required(permission: str, *, on_all: bool = False) -> Callable[[View], View]:
    """View decorator: `require`. Which things it holds for, the view asks by `find` and `visible`."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            require(request.user, permission, on_all=on_all)
            return view(request, *args, **kwargs)

        return wrapper

    return decorate
