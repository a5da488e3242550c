"""Two laws that hold for every request: no inline script, and no host is touched."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from virt import gate

GetResponse = Callable[[HttpRequest], HttpResponse]
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


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
