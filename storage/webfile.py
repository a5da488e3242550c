"""A file on a web server, read by the worker when a host has no curl. Goes on from an offset by Range (RFC 9110)."""

import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from django.utils.translation import gettext as _

from jobs.errors import Failed
from storage.naming import is_public_place

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
        if not is_public_place(urlsplit(newurl).hostname or "") and is_public_place(req.host.partition(":")[0]):
            raise Failed(_("The server sends us on to an address inside this machine."), newurl[:500])
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    return build_opener(_Redirects)


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
