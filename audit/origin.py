"""Where what happens now comes from: the request (who, which address, page or API) or a command."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse

from access.addresses import client_address
from access.models import User
from audit.states import Way

if TYPE_CHECKING:
    from audit.models import Entry

API = "/api/"


@dataclass
class Origin:
    way: Way
    request: HttpRequest | None = None
    who: str = ""
    entries: int = 0  # how many were recorded since
    kept: list["Entry"] = field(default_factory=list)  # refusals told inside a transaction that may be undone

    @property
    def person(self) -> User | None:
        user = getattr(self.request, "user", None)
        return user if isinstance(user, User) else None

    @property
    def address(self) -> str:
        return (client_address(self.request) or "") if self.request else ""


_now: ContextVar[Origin | None] = ContextVar("audit_origin", default=None)


def current() -> Origin | None:
    return _now.get()


@contextmanager
def _within(origin: Origin) -> Iterator[None]:
    token = _now.set(origin)
    try:
        yield
    finally:
        _now.reset(token)


@contextmanager
def of_command() -> Iterator[None]:
    """For `manage.py`: what it does was done by an account of the machine."""
    with _within(Origin(Way.COMMAND, who=getpass.getuser())):
        yield


def remember(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: entries made during a request know it; a change that was forbidden is an entry too."""
    from audit.entries import keep_refusals, record_forbidden

    def middleware(request: HttpRequest) -> HttpResponse:
        origin = Origin(Way.API if request.path_info.startswith(API) else Way.PAGE, request)
        with _within(origin):
            try:
                response = get_response(request)
                if response.status_code == 403 and request.method not in {"GET", "HEAD", "OPTIONS"}:
                    record_forbidden(origin)
            finally:
                keep_refusals(origin)
            return response

    return middleware
