"""Views that are imported when they are first asked for: what most people never open costs no memory until then."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string

View = Callable[..., HttpResponseBase]


def later(path: str, *decorators: Callable[[View], View], is_open: bool = False, **given: Any) -> View:
    """The view of this dotted path; of a class-based one with what is given to it. is_open: without a login."""
    made: list[View] = []

    def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not made:
            found = import_string(path)
            inner: View = found.as_view(**given) if hasattr(found, "as_view") else found
            for decorate in decorators:
                inner = decorate(inner)
            made.append(inner)
        return made[0](request, *args, **kwargs)

    return login_not_required(view) if is_open else view
