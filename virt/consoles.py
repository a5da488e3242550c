"""Reaching a VM's screen (VNC) or serial line, each as a plain socket."""

import logging
import socket
import subprocess
import threading
from types import TracebackType

import libvirt
from django.utils.translation import gettext as _

from virt import gate, ssh
from virt.connection import close_quietly, connect, open_connection
from virt.errors import HostUnreachable, NotFound, Unsupported, WrongState, translated
from virt.target import Target
from virt.xml import summary as domain_summary

log = logging.getLogger(__name__)
CHUNK = 65536


class Line:
    """A console's far end: `socket` is ours to read and write; `close` ends what stands behind it. Counts bytes."""

    def __init__(self, ours: socket.socket, description: str) -> None:
        self.socket = ours
        self.description = description
        self.sent = 0
        self.received = 0

    # What websockify's proxy loop uses of a socket.
    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, data: bytes) -> int:
        count = self.socket.send(data)
        self.sent += count
        return count

    def recv(self, size: int) -> bytes:
        data = self.socket.recv(size)
        self.received += len(data)
        return data

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _SshLine(Line):
    """Bytes to a port on the host's loopback, through the shared SSH connection (`ssh -W`, ssh(1))."""

    def __init__(self, target: Target, port: int) -> None:
        gate.check(f"console {target.key}")
        ssh.ready(target)
        ours, theirs = socket.socketpair()
        argv = ["ssh", "-F", str(target.ssh_config), "-W", f"127.0.0.1:{port}", target.key]
        self._process = subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL)
        theirs.close()
        super().__init__(ours, f"{target.key} 127.0.0.1:{port}")

    def close(self) -> None:
        super().close()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)


class _SerialLine(Line):
    """A domain's first serial console as a libvirt stream (virDomainOpenConsole), on a connection of its own."""

    def __init__(self, target: Target, uuid: str) -> None:
        self._connection = open_connection(target)
        try:
            with translated():
                domain = self._connection.lookupByUUIDString(uuid)
                self._stream = self._connection.newStream(0)
                domain.openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        except BaseException:
            close_quietly(self._connection)
            raise
        ours, self._theirs = socket.socketpair()
        super().__init__(ours, f"{target.key} serial")
        for work in (self._guest_to_us, self._us_to_guest):
            threading.Thread(target=work, name=f"serial-{uuid}", daemon=True).start()

    def _guest_to_us(self) -> None:
        try:
            while data := self._stream.recv(CHUNK):
                self._theirs.sendall(data)
        except (libvirt.libvirtError, OSError) as end:
            log.debug("serial line ended: %s", end)
        self._shut()

    def _us_to_guest(self) -> None:
        try:
            while data := self._theirs.recv(CHUNK):
                while data:
                    data = data[self._stream.send(data) :]
        except (libvirt.libvirtError, OSError) as end:
            log.debug("serial line ended: %s", end)
        self._shut()

    def _shut(self) -> None:
        try:
            self._theirs.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other side was first
            return

    def close(self) -> None:
        super().close()
        try:
            self._stream.abort()
        except libvirt.libvirtError:  # ended by itself
            log.debug("stream had ended")
        close_quietly(self._connection)
        self._theirs.close()


def vnc_port(target: Target, uuid: str) -> int:
    """The loopback TCP port of a running VM's VNC server. Raises NotFound, WrongState, Unsupported, HostUnreachable."""
    with connect(target) as connection:
        domain = connection.lookupByUUIDString(uuid)
        if not domain.isActive():
            raise WrongState(_("It is not running."))
        found = domain_summary.parse(domain.XMLDesc(0))
    for graphics in found.graphics:
        if graphics.kind == "vnc" and graphics.port and graphics.port > 0:
            return graphics.port
    raise Unsupported(_("It has no VNC screen."))


def open_vnc(target: Target, uuid: str) -> Line:
    """A line to the VM's VNC server, which listens on its host's loopback only."""
    port = vnc_port(target, uuid)
    if target.transport == "ssh":
        return _SshLine(target, port)
    if target.transport == "local":
        return Line(socket.create_connection(("127.0.0.1", port), timeout=5), f"local 127.0.0.1:{port}")
    raise Unsupported(_("Screens are reached through SSH; this host is connected without it."))


def open_serial(target: Target, uuid: str) -> Line:
    """A line to the VM's serial console; takes it over from whoever had it."""
    return _SerialLine(target, uuid)


__all__ = ["HostUnreachable", "Line", "NotFound", "open_serial", "open_vnc", "vnc_port"]
