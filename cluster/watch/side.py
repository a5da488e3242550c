"""A second connection to a host, for chores: what hangs there keeps no sweep and no event waiting.

Two threads on one connection do get in each other's way: libvirt's client may leave the second one's call until the
next keep-alive while the first one's long call is under way.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from django.utils.translation import gettext as _

from cluster.watch.crew import Crew, Late
from virt.errors import HostUnreachable
from virt.watching import Connection, close, open_beside

if TYPE_CHECKING:
    from cluster.watch.host import HostWatch

P = ParamSpec("P")
T = TypeVar("T")
CALL_S = 8.0
OPEN_S = 30.0
HUNG_PER_CONNECTION = 3  # libvirtd serves five calls of a connection at once
HUNG_MOST = 8


class Side:
    """Of one host; for the threads of its chores."""

    def __init__(self, watch: "HostWatch", crew: Crew) -> None:
        self._watch = watch
        self._crew = crew
        self._conn: Connection | None = None
        self._hung: dict[str, Future[Any]] = {}  # what it was about -> the call that has not come back

    def ask(
        self,
        about: str,
        seconds: float,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call with the connection and wait. Raises Late if it hangs, now or still since an earlier time."""
        before = self._hung.get(about)
        if before is not None and not before.done():
            raise Late(before)
        conn = self._connection()
        try:
            return self._crew.within(seconds, function, conn, *args, **kwargs)
        except Late as late:
            self._hung[about] = late.future
            raise

    def _connection(self) -> Connection:
        main = self._watch.connection()  # no second one to a host that does not answer
        if self._watch.target.transport == "test":
            return main  # each connection to a simulated host is a world of its own
        self._hung = {about: future for about, future in self._hung.items() if not future.done()}
        if len(self._hung) >= HUNG_MOST:
            raise HostUnreachable(_("Too many questions to the host have no answer yet."))
        conn = self._conn
        if conn is not None and (not conn.isAlive() or len(self._hung) >= HUNG_PER_CONNECTION):
            conn = None  # the old one lives as long as the calls that hang in it
        if conn is None:
            conn = self._conn = self._crew.within(OPEN_S, open_beside, self._watch.target)
        return conn

    def disconnected(self) -> None:
        """The main connection is gone: this one goes too."""
        conn, self._conn = self._conn, None
        if conn is not None:
            self._crew.start(close, conn)
