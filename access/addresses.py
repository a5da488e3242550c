"""Where a request comes from."""

from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """The address nearest to Drover's own front, which tells it to daphne; headers of the client are not believed."""
    return request.META.get("REMOTE_ADDR") or None
