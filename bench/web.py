"""A browser's way to a console without a browser: sign in, take a ticket, open the WebSocket (RFC 6455)."""

import base64
import http.cookiejar
import json
import secrets
import socket
import struct
import urllib.parse
import urllib.request

from tests.product import PASSWORD, Product

BINARY, CLOSE, PING, PONG = 2, 8, 9, 10


class Stream:
    """Exactly as many bytes as asked for, from a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rb", buffering=1 << 18)

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise AssertionError("the other side closed the connection")
        return data

    def line(self) -> bytes:
        return self._file.readline()

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)

    def close(self) -> None:
        self._file.close()
        self.connection.close()


class WebSocket:
    """The bytes of a WebSocket's binary messages, one after the other."""

    def __init__(self, port: int, path: str, headers: dict[str, str]) -> None:
        self._stream = Stream(socket.create_connection(("127.0.0.1", port), 10))
        own = {"Host": f"127.0.0.1:{port}", "Upgrade": "websocket", "Connection": "Upgrade"}
        own |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "binary"}
        own["Sec-WebSocket-Key"] = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (own | headers).items())]
        self._stream.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = self._stream.line()
        while self._stream.line().strip():
            pass
        if b" 101 " not in status:
            raise AssertionError(f"no WebSocket: {status.decode().strip()}")
        self._waiting = bytearray()

    def read(self, count: int) -> bytes:
        while len(self._waiting) < count:
            self._waiting += self._message()
        found = bytes(self._waiting[:count])
        del self._waiting[:count]
        return found

    def write(self, data: bytes) -> None:
        self._send(BINARY, data)

    def close(self) -> None:
        self._stream.close()

    def _message(self) -> bytes:
        """The next frame's bytes; a question whether we live is answered."""
        first, length = self._stream.read(2)
        if length == 126:
            (length,) = struct.unpack(">H", self._stream.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._stream.read(8))
        data = self._stream.read(length)
        kind = first & 15
        if kind == CLOSE:
            raise AssertionError(f"the console was closed: {data[2:].decode(errors='replace')}")
        if kind == PING:
            self._send(PONG, data)
        return b"" if kind in {PING, PONG} else data

    def _send(self, kind: int, data: bytes) -> None:
        mask = secrets.token_bytes(4)
        size = struct.pack(">BB", 128 | kind, 128 | len(data)) if len(data) < 126 else b""
        size = size or struct.pack(">BBH", 128 | kind, 128 | 126, len(data))
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        self._stream.write(size + mask + masked)


class Visitor:
    """Signed in to a Drover as its administrator."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))
        self._opener.open(f"{product.url}/login").close()
        self.post("/login", {"username": "admin", "password": PASSWORD})

    def cookie(self, name: str) -> str:
        return next(str(one.value) for one in self._jar if one.name == name)

    def post(self, path: str, values: dict[str, str] | None = None) -> bytes:
        data = urllib.parse.urlencode(values or {}).encode()
        request = urllib.request.Request(f"{self.product.url}{path}", data=data)
        request.add_header("X-CSRFToken", self.cookie("drover_csrf"))
        request.add_header("Origin", self.product.url)
        with self._opener.open(request) as answer:
            found: bytes = answer.read()
            return found

    def console(self, uuid: str) -> WebSocket:
        """A ticket for a VM's screen, and the WebSocket it opens."""
        path = json.loads(self.post(f"/vms/{uuid}/console/ticket"))["path"]
        headers = {"Origin": self.product.url, "Cookie": f"drover_session={self.cookie('drover_session')}"}
        return WebSocket(self.product.port, path, headers)
