"""Errors as problem details (RFC 9457): type, title, status, detail, and the field a refusal belongs to."""

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from access.people import Denied
from api.forms import Invalid
from jobs.errors import Refused


def problem(status: int, title: str, detail: str, **more: Any) -> HttpResponse:
    """`retry_after_s` also becomes the header that says when to ask again."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    headers = {"Retry-After": str(more["retry_after_s"])} if "retry_after_s" in more else None
    return JsonResponse(body, status=status, content_type="application/problem+json", headers=headers)


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
    return problem(error.status_code, "Error", str(error))


def _database_away(_request: HttpRequest, _error: Any) -> HttpResponse:
    return problem(503, "Not now", "The database does not answer. Nothing was done: try again.", retry_after_s=10)


def install(api: NinjaAPI) -> None:
    """Answer every error of the API as problem details."""
    api.add_exception_handler(Refused, _refused)
    api.add_exception_handler(Denied, _refused)
    api.add_exception_handler(ValidationError, _invalid)
    api.add_exception_handler(Invalid, _wrong_form)
    api.add_exception_handler(Http404, lambda _r, _e: problem(404, "Not found", "There is no such thing."))
    api.add_exception_handler(
        PermissionDenied, lambda _r, _e: problem(403, "Forbidden", "You have no right to do this.")
    )
    api.add_exception_handler(
        AuthenticationError, lambda _r, _e: problem(401, "Unauthorized", "Send a token or log in.")
    )
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(OperationalError, _database_away)
    api.add_exception_handler(InterfaceError, _database_away)
    api.add_exception_handler(
        RequestDataTooBig, lambda _r, _e: problem(413, "Too large", "This is more than Drover takes at once.")
    )
