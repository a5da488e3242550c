"""The console process: websockify with our tickets in front of it and SSH or a libvirt stream behind it.

A browser opens `/console-socket?ticket=...` on Drover's own origin. The ticket, the web session's cookie and the Origin
are checked before the upgrade; then bytes flow until either side ends, and the session's row says how many.
"""

import logging
import os
import socket
import socketserver
import struct
import threading
import time
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from websockify.websocketproxy import ProxyRequestHandler
from websockify.websockifyserver import CompatibleWebSocket

from access.models import ApiToken
from access.rules import role_of
from access.sessions import OF_A_SCRIPT
from hosts.models import Host
from jobs.errors import Text
from ui import live
from virt import consoles as lines
from virt.errors import VirtError, WrongState
from vms import console_record, consoles
from vms.models import ConsoleKind, ConsoleSession
from vms.view_only import NotRfb, ViewOnly

log = logging.getLogger(__name__)
# private use (RFC 6455, 7.4.2): the page shows the reason and tries again
CLOSE_NO_RIGHT, CLOSE_NO_TARGET = 4403, 4404
EVERY_S = 3.0
MOST_BYTES = 1024 * 1024  # of one message: a long text that is pasted
HEADER = struct.Struct(">xBQ")  # of a frame whose length takes 64 bits (RFC 6455, 5.2)


class BoundedSocket(CompatibleWebSocket):
    """websockify gathers a message, and what is announced as one frame, whole: up to 2^63 bytes."""

    def _recv_frames(self) -> Any:
        if len(self._recv_buffer) + len(self._partial_msg) > MOST_BYTES:
            raise ConnectionError("a message that is too long")
        return super()._recv_frames()

    def _decode_hybi(self, buf: bytes) -> Any:
        if len(buf) >= HEADER.size:
            kind, length = HEADER.unpack_from(buf)
            if kind & 0x7F == 127 and length > MOST_BYTES:
                raise ConnectionError("a frame that is too long")
        return super()._decode_hybi(buf)


class ConsoleHandler(ProxyRequestHandler):
    """One browser's console. websockify does the WebSocket and the copying."""

    SocketClass = BoundedSocket
    session: ConsoleSession
    opened: consoles.Opened
    line: lines.Line
    filter: ViewOnly | None = None
    end_code = 0

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)

    def validate_connection(self) -> None:
        """Before the upgrade: the ticket, with Origin and cookie or a token. Anything wrong is told as 403."""
        session = self._redeem()
        close_old_connections()
        if session is None:
            self.send_error(403)
            raise self.server.EClose("no valid ticket")
        self.session = session
        self.filter = ViewOnly() if session.view_only else None

    def _is_same_origin(self) -> bool:
        origin = urlsplit(self.headers.get("Origin", ""))
        return bool(origin.netloc) and origin.netloc == self.headers.get("Host", "")

    def _redeem(self) -> ConsoleSession | None:
        ticket = parse_qs(urlsplit(self.path).query).get("ticket", [""])[0]
        key = self._script_key()
        if not ticket or not (key or self._is_same_origin()):
            return None
        key = key or self._session_key()
        session = consoles.redeem(ticket, key) if key else None
        if session is None:
            self.opened = consoles.Opened("", "")
            return consoles.redeem_by_link(ticket)
        if session.user is not None:
            self.opened = consoles.Opened(key, role_of(session.user))
        return session

    def _script_key(self) -> str:
        """What stands for a script's token. No other page can make a browser send that."""
        scheme, _space, secret = self.headers.get("Authorization", "").partition(" ")
        return OF_A_SCRIPT + ApiToken.digest_of(secret) if scheme == "Bearer" else ""

    def _session_key(self) -> str:
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(settings.SESSION_COOKIE_NAME)
        except CookieError:
            return ""
        return cookie.value if cookie is not None and not cookie.value.startswith(OF_A_SCRIPT) else ""

    def new_websocket_client(self) -> None:
        session = self.session
        try:
            if session.vm.host is None:
                raise WrongState("no host")
            self.line = self._open(session.vm.host, session)
        except VirtError as error:
            log.info("console of %s: %s (%s)", session.vm.uuid, error.message, error.technical)
            self.tell_opened(reason=error.message)
            self.note(closed=True)
            raise self.CClose(CLOSE_NO_TARGET, error.message.encode()[:120].decode(errors="ignore")) from error
        session.host_name = session.vm.host.name
        session.save(update_fields=["host_name"])
        self.tell_opened()
        close_old_connections()
        live.publish(f"vm.{session.vm.uuid}")
        with self.line:
            rounds.begin(self)
            try:
                self.do_proxy(self.line)
            except (self.CClose, OSError):
                if self.end_code:
                    raise self.CClose(self.end_code, "") from None
                raise
            finally:
                rounds.over(self)
                self.note(closed=True)

    def recv_frames(self) -> Any:
        """As one piece: websockify hands on one piece a turn, so that many small ones would pile up in our memory."""
        pieces, closed = super().recv_frames()
        data = b"".join(pieces)
        if self.filter is not None:
            try:
                data = self.filter.feed(data)
            except NotRfb as error:
                raise self.CClose(CLOSE_NO_RIGHT, "") from error
        return [data] if data else [], closed

    def end(self, code: int) -> None:
        """From another thread: our end of the line is cut, and the thread that copies notices and says why.

        The second time also the browser's, which does not take what is sent.
        """
        side = self.connection if self.end_code else self.line.socket
        self.end_code = code
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _open(host: Host, session: ConsoleSession) -> lines.Line:
        uuid = str(session.vm.uuid)
        if session.kind == ConsoleKind.SERIAL:
            return lines.open_serial(host.target, uuid)
        return lines.open_vnc(host.target, uuid)

    def tell_opened(self, reason: Text = "") -> None:
        try:
            console_record.opened(self.session, reason=reason)
        except DatabaseError as error:
            log.error("console session %s: that it was opened is not stored: %s", self.session.pk, error)

    def note(self, *, closed: bool = False) -> None:
        line = getattr(self, "line", None)
        sent, received = (line.sent, line.received) if line else (0, 0)
        try:
            consoles.note_open(self.session.pk, sent=sent, received=received, closed=closed)
        except DatabaseError as error:
            log.error("console session %s: how it goes is not stored: %s", self.session.pk, error)
        close_old_connections()


class Rounds:
    """Looks every few seconds whether the people at this process's open consoles may stay, and notes those that do."""

    def __init__(self) -> None:
        self._open: set[ConsoleHandler] = set()
        self._lock = threading.Lock()
        self._noted_at = 0.0

    def begin(self, handler: ConsoleHandler) -> None:
        with self._lock:
            self._open.add(handler)

    def over(self, handler: ConsoleHandler) -> None:
        with self._lock:
            self._open.discard(handler)

    def forever(self) -> None:
        while True:
            time.sleep(EVERY_S)
            try:
                self.go_round()
            except DatabaseError as error:
                log.warning("open consoles are not looked at: %s", error)
            close_old_connections()

    def go_round(self) -> None:
        """Raises DatabaseError: then all stay for now."""
        with self._lock:
            opened = {handler.session.pk: handler for handler in self._open}
        if not opened:
            return
        kept = consoles.still_allowed({pk: handler.opened for pk, handler in opened.items()})
        for pk in opened.keys() - kept:
            log.info("console session %s is ended: its person may not use it any more", pk)
            opened[pk].end(CLOSE_NO_RIGHT)
        if time.monotonic() - self._noted_at > consoles.NOTED_EVERY.total_seconds():
            self._noted_at = time.monotonic()
            for pk in kept:
                opened[pk].note()


rounds = Rounds()


class ConsoleServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens on a unix socket behind nginx; one thread a console."""

    daemon_threads = True
    request_queue_size = 64
    # What websockify's handler asks of its server.
    only_upgrade = True
    heartbeat = 25
    unix_listen = True
    token_plugin = auth_plugin = None
    ws_connection = False

    class EClose(Exception):
        """Ends a connection before the upgrade."""

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("console connection ended", exc_info=True)


def serve(path: Path) -> None:
    """Serve until the process is ended. The socket file is ours alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    threading.Thread(target=rounds.forever, name="rounds", daemon=True).start()
    old = os.umask(0o117)
    try:
        server = ConsoleServer(str(path), ConsoleHandler)
    finally:
        os.umask(old)
    with server:
        server.serve_forever()
