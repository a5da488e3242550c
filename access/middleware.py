"""Whoever must do something first is led there."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse

from access.duties import Duty, duty_of, may_open, page_of
from access.rules import is_somebody
from ui.htmx import is_partial

API = "/api/"


class DutiesFirst:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        if not is_somebody(request.user):
            return None
        duty = duty_of(request.user)
        name = request.resolver_match.view_name if request.resolver_match else ""
        return None if duty is None or may_open(duty, name) else _lead(request, duty)


def _lead(request: HttpRequest, duty: Duty) -> HttpResponse:
    if request.path_info.startswith(API):
        body = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": str(duty.words)}
        return JsonResponse(body, status=403, content_type="application/problem+json")
    url = page_of(duty)
    if is_partial(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)
