"""The one place that decides who may do and see what. Pages, API, live socket and console ask it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from access.models import Role, User

M = TypeVar("M", bound=Model)
Person = User | AnonymousUser


class PersonRequest(HttpRequest):
    """The type of a request behind a login: LoginRequiredMiddleware and the API let nobody else through to a view."""

    user: User


USER_PERMISSIONS = frozenset({"vms.view", "vms.console", "vms.power", "jobs.view"})
OPERATOR_PERMISSIONS = USER_PERMISSIONS | {
    "vms.create",
    "vms.change",
    "vms.delete",
    "vms.migrate",
    "hosts.view",
    "storage.view",
    "storage.images",
    "cluster.view",
}
ADMINISTRATOR_PERMISSIONS = OPERATOR_PERMISSIONS | {
    "hosts.manage",
    "storage.manage",
    "access.manage",
    "jobs.trace",
}
PERMISSIONS = {
    Role.USER.value: USER_PERMISSIONS,
    Role.OPERATOR.value: OPERATOR_PERMISSIONS,
    Role.ADMINISTRATOR.value: ADMINISTRATOR_PERMISSIONS,
}


def role_of(user: Person) -> str:
    return Role.ADMINISTRATOR.value if user.is_superuser else getattr(user, "role", "")


def can(user: Person, permission: str) -> bool:
    """Whether this person may do this kind of thing at all. A name that no role has is a programming error."""
    if permission not in ADMINISTRATOR_PERMISSIONS:
        raise ValueError(f"unknown permission {permission!r}")
    return user.is_authenticated and user.is_active and permission in PERMISSIONS.get(role_of(user), frozenset())


def sees_everything(user: Person) -> bool:
    return user.is_authenticated and role_of(user) in {Role.ADMINISTRATOR.value, Role.OPERATOR.value}


def visible(user: Person, queryset: QuerySet[M]) -> QuerySet[M]:
    """The rows this person may see: everything for administrators and operators, else what they own.

    A model says by a field `owner` (or `user`) whose a row is; rows of a model without one are nobody's.
    """
    if sees_everything(user):
        return queryset
    if user.is_authenticated:
        for field in ("owner", "user"):
            try:
                queryset.model._meta.get_field(field)
            except FieldDoesNotExist:
                continue
            return queryset.filter(**{field: user})
    return queryset.none()


View = Callable[..., HttpResponse]


def permission_required(permission: str) -> Callable[[View], View]:
    """View decorator: 403 without this permission (that a person is logged in is the middleware's work)."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not can(request.user, permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return wrapper

    return decorate
