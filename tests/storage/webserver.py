"""A small web server for downloads: parts (Range), redirects, slowness, cut connections."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 64 * 1024


class Server(ThreadingHTTPServer):
    """files: path -> bytes. The other fields are how badly it behaves."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        super().__init__((address, 0), Handler)
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.bytes_per_s = 0  # 0: as fast as it can
        self.cut_after = 0  # end each answer after so many bytes, 0: never
        self.knows_ranges = True
        self.tells_size = True
        self.knows_head = True
        self.requests: list[str] = []  # "GET /x bytes=0-"

    def url(self, path: str) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}{path}"

    def put(self, path: str, data: bytes) -> str:
        """Offer a file; returns its SHA-256."""
        self.files[path] = data
        return hashlib.sha256(data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """The tests read `requests` instead."""

    def do_HEAD(self) -> None:
        if not self.server.knows_head:
            self._head(405, {"Content-Length": "0"})
            return
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        span = self.headers.get("Range", "")
        self.server.requests.append(f"{self.command} {self.path} {span}".strip())
        if self.path in self.server.redirects:
            self._head(302, {"Location": self.server.redirects[self.path], "Content-Length": "0"})
            return
        data = self.server.files.get(self.path)
        if data is None:
            self._head(404, {"Content-Length": "0"})
            return
        start, end = 0, len(data)
        if span and self.server.knows_ranges:
            first, _dash, last = span.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, end) if last else end
            if start >= len(data):
                self._head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
                return
            headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}", "Content-Length": str(end - start)}
            self._head(206, headers)
        else:
            self._head(200, {"Content-Length": str(len(data))} if self.server.tells_size else {"Connection": "close"})
        if with_body:
            self._send(data[start:end])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, data: bytes) -> None:
        sent = 0
        for offset in range(0, len(data), PIECE):
            if self.server.cut_after and sent >= self.server.cut_after:
                break
            piece = data[offset : offset + PIECE]
            try:
                self.wfile.write(piece)
            except OSError:
                break
            sent += len(piece)
            if self.server.bytes_per_s:
                time.sleep(len(piece) / self.server.bytes_per_s)
        if sent < len(data) or not self.server.tells_size:
            self.close_connection = True


@contextmanager
def serving(address: str = "127.0.0.1") -> Iterator[Server]:
    server = Server(address)
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
