"""What a viewer may send to a VNC server: all that is needed to see, nothing that types, clicks or pastes.

Source: RFC 6143 (7.1 to 7.5) and the RFB community specification (messages 150, 248 and above).
"""

VERSION, SECURITY, CHALLENGE, INIT, TALK = "version", "security", "challenge", "init", "talk"
NO_PASSWORD, PASSWORD = 1, 2
MOST_BYTES = 1024 * 1024
LONGEST_HEAD = 9  # so much of a message says how long it is


class NotRfb(ValueError):
    """Something no viewer of ours sends."""


class ViewOnly:
    """Takes what the browser sends, piece by piece; gives what may go on to the VM's screen."""

    def __init__(self) -> None:
        self._phase = VERSION
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Raises NotRfb."""
        data, at, allowed = self._rest + data, 0, []
        while (size := self._size(data[at : at + LONGEST_HEAD])) and len(data) >= at + size:
            allowed.append(self._allowed(data[at : at + size]))
            at += size
        self._rest = data[at:]
        if len(self._rest) > MOST_BYTES:
            raise NotRfb("a message that is too long")
        return b"".join(allowed)

    def _size(self, head: bytes) -> int:
        """Of the next message, by its first bytes; 0 as long as that can't be told."""
        if self._phase != TALK:
            return {VERSION: 12, SECURITY: 1, CHALLENGE: 16, INIT: 1}[self._phase]
        return _message_size(head)

    def _allowed(self, message: bytes) -> bytes:
        if self._phase == TALK:
            return message if message[0] in SEEING else b""
        if self._phase == VERSION:
            if message not in {b"RFB 003.007\n", b"RFB 003.008\n"}:
                raise NotRfb("another version")
            self._phase = SECURITY
        elif self._phase == SECURITY:
            if message[0] not in {NO_PASSWORD, PASSWORD}:
                raise NotRfb("another kind of security")
            self._phase = CHALLENGE if message[0] == PASSWORD else INIT
        elif self._phase == CHALLENGE:
            self._phase = INIT
        else:
            self._phase = TALK
            return b"\1"  # shared: who works at the console stays
        return message


# by the first byte; pixel format, encodings, update request, continuous updates, fence
SEEING = {0, 2, 3, 150, 248}
FIXED = {0: 20, 3: 10, 4: 8, 5: 6, 150: 10, 250: 4}


def _message_size(data: bytes) -> int:
    if not data:
        return 0
    if data[0] in FIXED:
        return FIXED[data[0]]
    head, size_of = VARIABLE.get(data[0], (0, None))
    if size_of is None:
        raise NotRfb(f"message {data[0]}")
    if len(data) < head:
        return 0
    size = head + size_of(data)
    if size > MOST_BYTES:
        raise NotRfb("a message that is too long")
    return size


def _qemu(data: bytes) -> int:
    """A key with its place (0), or sound (1)."""
    if data[1] == 0:
        return 8
    if data[1] == 1:
        return 6 if data[3] == 2 else 0
    raise NotRfb("an unknown message of QEMU's")


# by the first byte: how much of it says how long it is, and how much comes after that
VARIABLE = {
    2: (4, lambda data: 4 * int.from_bytes(data[2:4], "big")),
    6: (8, lambda data: abs(int.from_bytes(data[4:8], "big", signed=True))),
    248: (9, lambda data: data[8]),
    251: (8, lambda data: 16 * data[6]),
    255: (4, _qemu),
}
