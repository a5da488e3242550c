"""Two laws that hold for every request: no inline script, and no host is touched."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from ui.policy import POLICY
from virt import gate

GetResponse = Callable[[HttpRequest], HttpResponse]


def content_security_policy(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return middleware


def no_host_calls(get_response: GetResponse) -> GetResponse:
    """Law 1: inside a request every libvirt connection and SSH call raises (`virt.gate`)."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with gate.closed("a request"):
            return get_response(request)

    return middleware
