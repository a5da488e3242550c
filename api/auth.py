"""Who calls: a token in the Authorization header, or the web session (then with CSRF)."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from ninja.security import HttpBearer, SessionAuth

from access.models import ApiToken, User
from audit.people import token_used


class TokenAuth(HttpBearer):
    """`Authorization: Bearer drover_...`, made by `manage.py token create`."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        user = ApiToken.user_of(token)
        if user is not None:
            request.user = user
            token_used(token, user)
        return user


AUTH = [TokenAuth(), SessionAuth()]


def reader_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For the API's own description: a token, a web session, or else the login page."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        has_token = scheme == "Bearer" and ApiToken.user_of(secret) is not None
        if has_token or request.user.is_authenticated:
            return view(request, *args, **kwargs)
        return redirect_to_login(request.get_full_path())

    return wrapper
