"""Bytes into and out of volumes through libvirt's own connection: no other port, no mount, no temporary file.

Source: libvirt.org/html/libvirt-libvirt-storage.html (virStorageVolUpload), libvirt-libvirt-stream.html.
"""

from collections.abc import Iterator
from types import TracebackType

import libvirt

from virt.errors import translate, translated
from virt.pools import lookup_volume

PIECE_BYTES = 262120  # VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX: one message of libvirt's wire protocol
DOWNLOAD_CHUNK_BYTES = 1024 * 1024


class VolumeWriter:
    """Writes bytes to a volume from an offset on; what was written counts only after `close`.

    While it is open libvirt counts a job on the pool: refreshing or stopping the pool is refused meanwhile.
    As a context manager it closes at the end, and aborts if something was raised.
    """

    def __init__(
        self, conn: "libvirt.virConnect", pool_name: str, name: str, *, offset: int = 0, length: int = 0
    ) -> None:
        volume = lookup_volume(conn, pool_name, name)
        with translated():
            self._stream = conn.newStream(0)
            volume.upload(self._stream, offset, length, 0)
        self.offset = offset
        self._is_open = True

    def write(self, data: bytes) -> None:
        """Send all of it. Blocks while the host takes it. Raises NoSpace, HostUnreachable."""
        view = memoryview(data)
        while view:
            piece = bytes(view[:PIECE_BYTES])
            try:
                sent = self._stream.send(piece)
            except libvirt.libvirtError as error:
                self._is_open = False  # libvirt has ended the stream: there is nothing left to abort
                raise translate(error) from error
            self.offset += sent
            view = view[sent:]

    def close(self) -> int:
        """Wait until the host has taken everything; returns the offset up to which it has."""
        if self._is_open:
            self._is_open = False
            with translated():
                self._stream.finish()
        return self.offset

    def abort(self) -> None:
        """Give up; what was sent since the last `close` is in an unknown state."""
        if self._is_open:
            self._is_open = False
            try:
                self._stream.abort()
            except libvirt.libvirtError:  # the connection is gone, and the stream with it: what abort asks for
                return

    def __enter__(self) -> "VolumeWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def upload_bytes(conn: "libvirt.virConnect", pool_name: str, name: str, data: bytes) -> None:
    """Write a small file into an existing volume of its size."""
    with VolumeWriter(conn, pool_name, name, length=len(data)) as writer:
        writer.write(data)


def read_volume(
    conn: "libvirt.virConnect", pool_name: str, name: str, *, offset: int = 0, length: int = 0
) -> Iterator[bytes]:
    """The bytes of a volume in pieces; length 0 reads to the end. Closing the iterator early ends the transfer."""
    volume = lookup_volume(conn, pool_name, name)
    with translated():
        stream = conn.newStream(0)
        volume.download(stream, offset, length, 0)
    is_done = False
    try:
        while True:
            with translated():
                piece = stream.recv(DOWNLOAD_CHUNK_BYTES)
            if not piece:
                is_done = True
                break
            yield piece
    finally:
        if not is_done:
            try:
                stream.abort()
            except libvirt.libvirtError:
                is_done = True  # it had ended by itself
    with translated():
        stream.finish()


def read_head(conn: "libvirt.virConnect", pool_name: str, name: str, length: int) -> bytes:
    """The first bytes of a volume, fewer if it is shorter."""
    return b"".join(read_volume(conn, pool_name, name, length=length))
