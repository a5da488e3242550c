"""The same rights as the pages."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from access.rules import can


def require(request: HttpRequest, permission: str) -> None:
    """Raise PermissionDenied (403) if the caller may not do this kind of thing."""
    if not can(request.user, permission):
        raise PermissionDenied
