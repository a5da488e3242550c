"""A file on a web server, read by the worker when a host has no curl. Goes on from an offset by Range (RFC 9110).

Connections go to addresses that were checked, wherever a name or a redirect leads.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from django.utils.translation import gettext as _

from jobs.errors import Failed
from virt import addresses

PIECE_BYTES = 1024 * 1024
TIMEOUT_S = 30
TRIES = 6
TEXT_BYTES = 1024 * 1024
PARTIAL, RANGE_NOT_SATISFIABLE, SERVER_ERROR = 206, 416, 500


class _Redirects(HTTPRedirectHandler):
    """A few redirects, to http and https only (urllib would also follow ftp)."""

    max_redirections = 5

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme.lower() not in {"http", "https"}:
            raise Failed(_("The server sends us on to another kind of address."), newurl[:500])
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _connect(address: tuple[str, int], timeout: float | None = None, source_address: Any = None) -> socket.socket:
    """socket.create_connection, but only to addresses that something may be fetched from."""
    name, port = address
    found = [info[4][:2] for info in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    for where, _port in found:
        if not addresses.is_fetchable(ipaddress.ip_address(str(where).partition("%")[0])):
            words = _("%(name)s leads to %(address)s, which is only for this machine; nothing is fetched from there.")
            raise Failed(words % {"name": name, "address": where})
    problem: OSError = ConnectionError("no address")
    for where, _port in found:
        try:
            return socket.create_connection((str(where), port), timeout, source_address)
        except OSError as error:
            problem = error
    raise problem


class _CheckedHttp(HTTPConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect


class _CheckedHttps(HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_CheckedHttp, req)


class _Https(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_CheckedHttps, req, context=ssl.create_default_context())


def _opener() -> OpenerDirector:
    return build_opener(ProxyHandler({}), _Http, _Https, _Redirects)


class WebFile:
    """One address; `size_bytes` None if the server does not tell, `can_resume` whether it sends parts."""

    def __init__(self, url: str) -> None:
        if urlsplit(url).scheme.lower() not in {"http", "https"}:
            raise Failed(_("The address must begin with http:// or https://."))
        self.url = url
        with self._first() as answer:
            span = answer.headers.get("Content-Range", "")
            self.can_resume = answer.status == PARTIAL
            length = span.rpartition("/")[2] if self.can_resume else answer.headers.get("Content-Length", "")
            self.size_bytes = int(length) if length and length.isdecimal() and len(length) < 19 else None

    def _first(self) -> Any:
        try:
            return self._open(0, first_byte_only=True)
        except OSError as error:
            raise Failed(_("The download failed: %(why)s") % {"why": error}, self.url) from error

    def _open(self, offset: int, *, first_byte_only: bool = False) -> Any:
        request = Request(self.url, headers={"User-Agent": "Drover", "Accept-Encoding": "identity"})
        if first_byte_only:
            request.add_header("Range", "bytes=0-0")
        elif offset:
            request.add_header("Range", f"bytes={offset}-")
        try:
            return _opener().open(request, timeout=TIMEOUT_S)
        except HTTPError as error:
            if error.code >= SERVER_ERROR:
                raise ConnectionError(f"{error.code} {error.reason}") from error
            if error.code == RANGE_NOT_SATISFIABLE:
                raise Failed(_("The file is empty, or shorter than what came before."), self.url) from error
            message = _("The server answered %(code)d: %(reason)s")
            raise Failed(message % {"code": error.code, "reason": error.reason}, self.url) from error
        except URLError as error:
            raise ConnectionError(str(error.reason)) from error

    def pieces(self, offset: int) -> Iterator[bytes]:
        """The bytes from an offset on, over lost connections. Raises Failed when the server stays away."""
        tries = 0
        while True:
            try:
                for piece in self._pieces(offset):
                    offset += len(piece)
                    tries = 0
                    yield piece
                if self.size_bytes is None or offset >= self.size_bytes:
                    return
                raise ConnectionError("the connection ended early")
            except (OSError, HTTPException) as error:
                tries += 1
                if tries >= TRIES:
                    raise Failed(_("The download failed: %(why)s") % {"why": error}, self.url) from error
                time.sleep(tries)
                yield b""

    def _pieces(self, offset: int) -> Iterator[bytes]:
        with self._open(offset) as answer:
            if offset and answer.status != PARTIAL:
                self._skip(answer, offset)
            while piece := answer.read(PIECE_BYTES):
                yield piece

    def _skip(self, answer: Any, count: int) -> None:
        """A server without parts sends all again: read up to where we were."""
        while count > 0:
            piece = answer.read(min(PIECE_BYTES, count))
            if not piece:
                raise ConnectionError("the connection ended early")
            count -= len(piece)

    def text(self) -> str:
        """The beginning of a small text."""
        try:
            with self._open(0) as answer:
                return str(answer.read(TEXT_BYTES).decode(errors="replace"))
        except OSError as error:
            raise Failed(_("The download failed: %(why)s") % {"why": error}, self.url) from error
