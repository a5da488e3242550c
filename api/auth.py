"""Who calls: a token in the Authorization header, or the web session (then with CSRF)."""

from django.http import HttpRequest
from ninja.security import HttpBearer, SessionAuth

from access.models import ApiToken, User


class TokenAuth(HttpBearer):
    """`Authorization: Bearer drover_...`, made by `manage.py token create`."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        user = ApiToken.user_of(token)
        if user is not None:
            request.user = user
        return user


AUTH = [TokenAuth(), SessionAuth()]
