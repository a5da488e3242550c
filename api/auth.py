"""Who calls: a token in the Authorization header, or the web session (then with CSRF)."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from ninja.security import HttpBearer, SessionAuth

from access.models import ApiToken, User
from api import scopes
from audit.people import token_used


class TokenAuth(HttpBearer):
    """`Authorization: Bearer drover_...`, made on the profile, by this API, or by `manage.py token create`."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """Raises OutOfScope."""
        found = ApiToken.of(token)
        if found is None:
            return None
        request.user = found.user
        request.api_token = found  # type: ignore[attr-defined]
        token_used(token, found.user)
        scopes.check(found, request)
        return found.user


class PageAuth(SessionAuth):
    """The web session of who is logged in, with CSRF. Who sends a token, even a wrong one, means that."""

    def __call__(self, request: HttpRequest) -> Any:
        if "Authorization" in request.headers or not request.user.is_authenticated:
            return None
        return super().__call__(request)


AUTH = [TokenAuth(), PageAuth()]


def reader_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For the API's own description: a token, a web session, or else the login page."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        has_token = scheme == "Bearer" and ApiToken.of(secret) is not None
        if has_token or request.user.is_authenticated:
            return view(request, *args, **kwargs)
        return redirect_to_login(request.get_full_path())

    return wrapper
