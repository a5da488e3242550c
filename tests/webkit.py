"""A person at the web pages of a running Drover, without a browser: cookies, CSRF and forms over plain HTTP."""

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from tests.product import PASSWORD


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_all: Any) -> None:
        return None


@dataclass
class Answer:
    status: int
    body: str
    headers: Any


@dataclass
class WebPerson:
    """Logs in once; `get` and `post` return answers of every status. `as_htmx`: as htmx would ask."""

    url: str
    timeout_s: float = 30
    jar: http.cookiejar.CookieJar = field(default_factory=http.cookiejar.CookieJar)

    def __post_init__(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar), _NoRedirects)

    def cookie(self, name: str) -> str:
        return next((str(one.value) for one in self.jar if one.name == name), "")

    def log_in(self, user: str = "admin", password: str = PASSWORD) -> "WebPerson":
        self.get("/login")
        answer = self.post("/login", {"username": user, "password": password})
        if answer.status != 302:
            raise AssertionError(f"login: {answer.status}")
        return self

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask(urllib.request.Request(self.url + path, headers=headers))

    def post(self, path: str, data: dict[str, Any] | None = None, *, as_htmx: bool = False) -> Answer:
        body = urllib.parse.urlencode(data or {}, doseq=True).encode()
        headers = {"X-CSRFToken": self.cookie("drover_csrf"), "Referer": self.url + "/"}
        if as_htmx:
            headers["HX-Request"] = "true"
        return self._ask(urllib.request.Request(self.url + path, data=body, headers=headers, method="POST"))

    def _ask(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=self.timeout_s) as answer:
                return Answer(answer.status, answer.read().decode(errors="replace"), answer.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(errors="replace"), error.headers)
