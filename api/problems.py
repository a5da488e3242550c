"""Errors as problem details (RFC 9457): type, title, status, detail, and the field a refusal belongs to."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError

from access.people import Denied
from api import limits
from api.body import NotJson
from api.forms import Invalid
from api.scopes import OutOfScope
from jobs.errors import Refused
from ui.counting import wait_s

API = "/api/"
TYPE = "application/problem+json"
NO_SUCH_THING = "There is no such thing."
# What is said where nothing more is known: of errors that never reach a call.
WORDS = {
    400: "This request can't be understood.",
    401: "Send a token or log in.",
    403: "You have no right to do this.",
    404: NO_SUCH_THING,
    405: "This call takes another method.",
    413: "This is more than Drover takes at once.",
    415: "Send JSON, with Content-Type: application/json.",
    429: "Too many requests: wait a little.",
    500: "An error of Drover. Its log says more.",
    503: "Not now. Nothing was done: try again.",
}


def problem(status: int, title: str, detail: str, **more: Any) -> HttpResponse:
    """`retry_after_s` also becomes the header that says when to ask again."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    headers = {"Retry-After": str(more["retry_after_s"])} if "retry_after_s" in more else None
    return JsonResponse(body, status=status, content_type=TYPE, headers=headers)


def only_problems(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: below /api/ an error that is not told as a problem yet (Django's own, those of middleware) becomes
    one. Headers stay."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path_info.startswith(API) and response.status_code >= 400 and not response.streaming:
            if response.headers.get("Content-Type") != TYPE:
                _retell(response)
        return response

    return middleware


def _retell(response: HttpResponse) -> None:
    status = response.status_code
    detail = WORDS.get(status, WORDS[400 if status < 500 else 500])
    if status == 405 and "Allow" in response.headers:
        detail = f"This call takes {response.headers['Allow']}."
    more = {"retry_after_s": int(wait)} if (wait := response.headers.get("Retry-After", "")).isdigit() else {}
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    response.content = json.dumps(body)
    response.headers["Content-Type"] = TYPE
    if "Content-Length" in response.headers:
        response.headers["Content-Length"] = str(len(response.content))


def _refused(_request: HttpRequest, error: Any) -> HttpResponse:
    field = error.field
    return problem(409, "Refused", str(error), **({"field": field} if field else {}))


def _invalid(_request: HttpRequest, error: Any) -> HttpResponse:
    errors = [{"field": ".".join(str(part) for part in one["loc"][1:]), "message": one["msg"]} for one in error.errors]
    return problem(422, "Invalid", "; ".join(f"{one['field']}: {one['message']}" for one in errors), errors=errors)


def _wrong_form(_request: HttpRequest, error: Any) -> HttpResponse:
    errors = [{"field": field, "message": text} for field, texts in error.errors.items() for text in texts]
    detail = "; ".join(f"{one['field']}: {one['message']}" if one["field"] else one["message"] for one in errors)
    return problem(422, "Invalid", detail, field=errors[0]["field"], errors=errors)


def _http_error(_request: HttpRequest, error: Any) -> HttpResponse:
    if isinstance(error.__cause__, NotJson):  # ninja says 400 of whatever a parser raises
        return problem(415, HTTPStatus(415).phrase, WORDS[415])
    return problem(error.status_code, HTTPStatus(error.status_code).phrase, str(error))


def _throttled(_request: HttpRequest, error: Any) -> HttpResponse:
    return problem(429, HTTPStatus(429).phrase, WORDS[429], retry_after_s=int(error.wait or 1))


def _nobody(request: HttpRequest, _error: Any) -> HttpResponse:
    if limits.is_stranger_over(request):
        return problem(429, HTTPStatus(429).phrase, WORDS[429], retry_after_s=wait_s())
    response = problem(401, "Unauthorized", WORDS[401])
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _out_of_scope(_request: HttpRequest, error: Any) -> HttpResponse:
    response = problem(403, "Forbidden", str(error))
    response.headers["WWW-Authenticate"] = 'Bearer error="insufficient_scope"'
    return response


def _database_away(_request: HttpRequest, _error: Any) -> HttpResponse:
    return problem(503, "Not now", "The database does not answer. Nothing was done: try again.", retry_after_s=10)


def _as(status: int, title: str) -> Callable[[HttpRequest, Any], HttpResponse]:
    return lambda _request, _error: problem(status, title, WORDS[status])


def install(api: NinjaAPI) -> None:
    """Answer every error of the API as problem details."""
    api.add_exception_handler(Refused, _refused)
    api.add_exception_handler(Denied, _refused)
    api.add_exception_handler(ValidationError, _invalid)
    api.add_exception_handler(Invalid, _wrong_form)
    api.add_exception_handler(Http404, _as(404, "Not found"))
    api.add_exception_handler(PermissionDenied, _as(403, "Forbidden"))
    api.add_exception_handler(OutOfScope, _out_of_scope)
    api.add_exception_handler(AuthenticationError, _nobody)
    api.add_exception_handler(Throttled, _throttled)
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(OperationalError, _database_away)
    api.add_exception_handler(InterfaceError, _database_away)
    api.add_exception_handler(RequestDataTooBig, _as(413, "Too large"))
    api.add_exception_handler(UnreadablePostError, _as(400, "Bad request"))
