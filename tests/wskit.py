"""A small WebSocket client (RFC 6455) that sends exactly the headers a test wants, also wrong ones."""

import base64
import os
import socket
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@dataclass
class Refusal(Exception):
    """The server answered the upgrade with another status than 101."""

    status: int


class WebSocket:
    """`Refusal` if the upgrade is refused. `recv` gives (opcode, data)."""

    def __init__(
        self,
        url: str,
        path: str,
        *,
        origin: str | None = "",
        cookie: str = "",
        protocol: str = "",
        token: str = "",
        timeout_s: float = 10,
    ) -> None:
        where = urlsplit(url)
        lines = [f"GET {path} HTTP/1.1", f"Host: {where.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}"]
        if origin is not None:
            lines.append(f"Origin: {origin or url}")
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        if token:
            lines.append(f"Authorization: Bearer {token}")
        if cookie:
            lines.append(f"Cookie: {cookie}")
        self.socket = socket.create_connection((where.hostname, where.port), timeout=timeout_s)
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            piece = self.socket.recv(4096)
            if not piece:
                break
            self._buffer += piece
        head, _sep, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status = int(head.split()[1]) if head.split()[1:] else 0
        if status != 101:
            self.socket.close()
            raise Refusal(status)
        answers = dict(line.lower().split(": ", 1) for line in head.decode("latin1").split("\r\n")[1:])
        self.protocol = answers.get("sec-websocket-protocol", "")

    def send(self, data: bytes, opcode: int = TEXT) -> None:
        length = len(data)
        size = struct.pack("!B", 0x80 | length) if length < 126 else struct.pack("!BH", 0x80 | 126, length)
        if length >= 1 << 16:
            size = struct.pack("!BQ", 0x80 | 127, length)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        self.socket.sendall(struct.pack("!B", 0x80 | opcode) + size + mask + masked)

    def recv(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", self._exactly(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self._exactly(8))[0]
        return first & 0x0F, self._exactly(length)

    def close_code(self) -> int:
        """Read on until the server closes; its code, 0 if it just went."""
        try:
            while True:
                opcode, data = self.recv()
                if opcode == CLOSE:
                    return int(struct.unpack("!H", data[:2])[0]) if len(data) >= 2 else 0
        except OSError:
            return 0

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("the server went")
            self._buffer += piece
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def close(self) -> None:
        self.socket.close()
