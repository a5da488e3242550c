"""The console process: websockify with our tickets in front of it and SSH or a libvirt stream behind it.

A browser opens `/console-socket?ticket=...` on Drover's own origin. The ticket, the web session's cookie and the Origin
are checked before the upgrade; then bytes flow until either side ends, and the session's row says how many.
"""

import logging
import os
import socketserver
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.utils import timezone
from websockify.websocketproxy import ProxyRequestHandler

from hosts.models import Host
from ui import live
from virt import consoles as lines
from virt.errors import VirtError
from vms import consoles
from vms.models import ConsoleKind, ConsoleSession

log = logging.getLogger(__name__)
CLOSE_NO_TARGET = 4404  # private use (RFC 6455, 7.4.2): the page shows the reason and tries again


class ConsoleHandler(ProxyRequestHandler):
    """One browser's console. websockify does the WebSocket and the copying."""

    session: ConsoleSession

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)

    def validate_connection(self) -> None:
        """Before the upgrade: Origin, cookie, ticket. Anything wrong ends the connection with 403."""
        session = self._redeem() if self._is_same_origin() else None
        close_old_connections()
        if session is None:
            self.send_error(403)
            raise self.server.EClose("no valid ticket")
        self.session = session

    def _is_same_origin(self) -> bool:
        origin = urlsplit(self.headers.get("Origin", ""))
        return bool(origin.netloc) and origin.netloc == self.headers.get("Host", "")

    def _redeem(self) -> ConsoleSession | None:
        ticket = parse_qs(urlsplit(self.path).query).get("ticket", [""])[0]
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(settings.SESSION_COOKIE_NAME)
        except CookieError:
            return None
        if not ticket or cookie is None:
            return None
        return consoles.redeem(ticket, cookie.value)

    def new_websocket_client(self) -> None:
        session = self.session
        host = session.vm.host
        if host is None:
            raise self.CClose(CLOSE_NO_TARGET, "no host")
        try:
            line = self._open(host, session)
        except VirtError as error:
            log.info("console of %s: %s (%s)", session.vm.uuid, error.message, error.technical)
            raise self.CClose(CLOSE_NO_TARGET, error.message.encode()[:120].decode(errors="ignore")) from error
        ConsoleSession.objects.filter(pk=session.pk).update(host_name=host.name)
        close_old_connections()
        live.publish(f"vm.{session.vm.uuid}")
        with line:
            try:
                self.do_proxy(line)
            finally:
                self._close(line)

    @staticmethod
    def _open(host: Host, session: ConsoleSession) -> lines.Line:
        uuid = str(session.vm.uuid)
        if session.kind == ConsoleKind.SERIAL:
            return lines.open_serial(host.target, uuid)
        return lines.open_vnc(host.target, uuid)

    def _close(self, line: lines.Line) -> None:
        try:
            ConsoleSession.objects.filter(pk=self.session.pk).update(
                closed_at=timezone.now(), bytes_to_guest=line.sent, bytes_from_guest=line.received
            )
        except DatabaseError as error:
            log.error("console session %s: its end is not stored: %s", self.session.pk, error)
        close_old_connections()


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
    consoles.close_abandoned()
    old = os.umask(0o117)
    try:
        server = ConsoleServer(str(path), ConsoleHandler)
    finally:
        os.umask(old)
    with server:
        server.serve_forever()
