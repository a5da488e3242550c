"""How often the API may be called: each person, all their tokens together; and each address that nobody is behind."""

from django.conf import settings
from django.http import HttpRequest
from ninja.throttling import BaseThrottle

from access.addresses import client_address
from ui.counting import is_over, wait_s


class PerPerson(BaseThrottle):
    """Who calls is known by then. What does not fit is told with the time after which to call again."""

    def allow_request(self, request: HttpRequest) -> bool:
        return not is_over("person", str(request.user.pk), settings.API_CALLS_PER_MINUTE)

    def wait(self) -> float:
        return wait_s()


def is_stranger_over(request: HttpRequest) -> bool:
    """A call without a valid token or session. Those with one are let in from the same address all the same."""
    return is_over("address", client_address(request) or "", settings.API_STRANGERS_PER_MINUTE)
