"""What holds for every request: no inline script, no piece in place of a page, and no host is touched."""

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from api.problems import API
from ui.policy import POLICY
from virt import gate

log = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponse]


def content_security_policy(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return middleware


def pieces_are_no_pages(get_response: GetResponse) -> GetResponse:
    """One address may answer htmx with a piece and the browser with a page: its cache keeps the two apart (Back)."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        patch_vary_headers(response, ["HX-Request"])
        return response

    return middleware


def no_nul(get_response: GetResponse) -> GetResponse:
    """PostgreSQL refuses a NUL in any text with an error: no address of ours holds one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if "%00" in request.META.get("QUERY_STRING", "") or ("\0" in path and path.startswith(API)):
            return HttpResponseBadRequest(_("This address holds a character that can't be."), content_type="text/plain")
        return get_response(request)

    return middleware


def no_host_calls(get_response: GetResponse) -> GetResponse:
    """Law 1: inside a request every libvirt connection and SSH call raises (`virt.gate`)."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with gate.closed("a request"):
            return get_response(request)

    return middleware


class DatabaseAway:
    """A view that the database did not answer (SQLite locked, PostgreSQL gone) says so: nothing was changed by it."""

    RETRY_AFTER_S = 10

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        log.error("%s %s: the database does not answer: %s", request.method, request.path, exception)
        page = render_to_string("503.html")  # not for a person: who they are is in the database
        return HttpResponse(page, status=503, headers={"Retry-After": str(self.RETRY_AFTER_S)})
