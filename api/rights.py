"""The same rights as the pages."""

from django.http import HttpRequest

from access import rules


def require(request: HttpRequest, permission: str, *, on_all: bool = False) -> None:
    """Raise PermissionDenied (403) if the caller may not do this kind of thing, Http404 if they may not know of it."""
    rules.require(request.user, permission, on_all=on_all)
