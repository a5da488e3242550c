"""As much of the VNC protocol (RFC 6143) as measuring needs: connect, ask for whole pictures, read raw rectangles."""

import struct
from collections.abc import Callable

RAW, NEWER_SIZE = 0, -223
NONE = 1


class Screen:
    """A VNC client on two functions: `read(n)` returns exactly n bytes, `write(data)` sends."""

    def __init__(self, read: Callable[[int], bytes], write: Callable[[bytes], None]) -> None:
        self._read, self._write = read, write
        self.received = 0
        self.width, self.height = self._shake_hands()

    def read(self, count: int) -> bytes:
        self.received += count
        return self._read(count)

    def _shake_hands(self) -> tuple[int, int]:
        self.read(12)
        self._write(b"RFB 003.008\n")
        kinds = self.read(self.read(1)[0])
        if NONE not in kinds:
            raise AssertionError(f"the VNC server wants a password: {kinds!r}")
        self._write(bytes([NONE]))
        if struct.unpack(">I", self.read(4))[0]:
            raise AssertionError("the VNC server does not let us in")
        self._write(b"\x01")  # others may look too
        width, height = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.read(struct.unpack(">I", self.read(4))[0])
        self._write(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self._write(struct.pack(">BxHii", 2, 2, RAW, NEWER_SIZE))
        return width, height

    def picture(self) -> int:
        """Ask for the whole picture and read it; how many bytes of pixels came."""
        self._write(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        pixels = 0
        while not pixels:
            pixels += self._update()
        return pixels

    def _update(self) -> int:
        kind = self.read(1)[0]
        if kind == 2:  # the bell
            return 0
        if kind == 3:  # somebody copied a text
            self.read(3)
            self.read(struct.unpack(">I", self.read(4))[0])
            return 0
        if kind != 0:
            raise AssertionError(f"message {kind} of the VNC server is not known")
        pixels = 0
        for _number in range(struct.unpack(">xH", self.read(3))[0]):
            _x, _y, width, height, encoding = struct.unpack(">HHHHi", self.read(12))
            if encoding == NEWER_SIZE:
                self.width, self.height = width, height
            elif encoding == RAW:
                pixels += len(self.read(width * height * 4))
            else:
                raise AssertionError(f"encoding {encoding} was not asked for")
        return pixels
