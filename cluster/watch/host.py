"""One thread for one host: it holds the connection, hears events, sweeps, and hands what it saw to the store."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cluster.watch.chores import Chores
from cluster.watch.crew import Crew
from cluster.watch.recorder import Recorder
from cluster.watch.store import Store
from hosts import sync as hosts_sync
from hosts.models import Host
from virt.errors import AuthenticationFailed, HostUnreachable, VirtError
from virt.events import Inbox, Kind, Note, Subscription, subscribe
from virt.hostinfo import NodeFigures, node_figures
from virt.inventory.domains import DomainState, Marks, read_domain, read_marks, read_state, read_states
from virt.target import Target
from virt.watching import Connection, close, identify, open_for_watching
from vms import sync as vms_sync
from vms.round import Observed, Outcome

log = logging.getLogger(__name__)
SWEEP_S = 10.0
MARKS_EVERY_S = 60.0
GATHER_S = 0.015  # what belongs to one change comes as several events: the rest is given this long to arrive
FEW = 6  # with more changed VMs than this, one sweep tells their states sooner than asking each
AT_ONCE = 10  # definitions read between two looks at the inbox
BACKOFF_S = (0.3, 1.0, 3.0, 8.0, 15.0)
SILENT_AFTER_S = 13.0
OPEN_LIMIT_S = 30.0
CALL_LIMIT_S = 12.0
ANY = ""  # instead of a token: whichever connection it is
_random = secrets.SystemRandom()


class SameMachine(AuthenticationFailed):
    """The host turned out to be one that is there already."""

    def __init__(self, other: Host) -> None:
        super().__init__(f"same machine as {other.name}")
        self.other = other


class HostWatch:
    """`start` it, `stop` it; the supervisor looks at `silence`, `is_stuck` and `is_marked`."""

    def __init__(self, host: Host, store: Store, crew: Crew, nudge: Callable[[int, str], None]) -> None:
        self.host_id = host.pk
        self.name = host.name
        self.target: Target = host.target
        self.inbox = Inbox()
        self.stopping = threading.Event()
        self.is_marked = False  # as not answering, in the database
        self.busy_since: float | None = None
        self.is_connected = False
        self.answered_at = time.monotonic()
        self._limit = CALL_LIMIT_S
        self._store = store
        self._nudge = nudge
        self._conn: Connection | None = None
        self._subscription: Subscription | None = None
        self._recorder = Recorder(host.pk)
        self.chores = Chores(self, store, crew)
        self._unread: dict[str, None] = {}
        self._failures = 0
        self._uuid = str(host.uuid) if host.uuid else ""
        self._memory_bytes = host.memory_bytes
        self._is_new = host.seen_at is None
        self._marks_at = 0.0
        self._thread = threading.Thread(target=self.run, name=f"host-{host.pk}", daemon=True)

    # --- for the supervisor ------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.inbox.wake()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_silent(self) -> bool:
        """No answer for so long that people must know. Waiting for our own database does not count."""
        waits = self.busy_since is not None or not self.is_connected
        return waits and time.monotonic() - self.answered_at > SILENT_AFTER_S

    @property
    def is_stuck(self) -> bool:
        """A call hangs: another connection may fare better (a QEMU that hangs is passed over by the next one)."""
        since = self.busy_since
        return since is not None and time.monotonic() - since > self._limit

    def connection(self) -> Connection:
        """The connection, for chores. Raises HostUnreachable."""
        if self._conn is None:
            raise HostUnreachable(_("The connection to the host was lost."))
        return self._conn

    def reidentify(self) -> None:
        """The machine is another one than we thought: begin again by asking which."""
        self._uuid = ""
        self.inbox.put(Note(Kind.CLOSED, ANY))

    def read_soon(self, uuids: Collection[str]) -> None:
        """Have these definitions read again when nothing else is to be done."""
        for uuid in uuids:
            self._unread[uuid] = None
        self.inbox.wake()

    # --- the thread --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.connect()
                self._watch()
            except VirtError as error:
                self.lost(error)
            except DatabaseError as error:
                log.warning("%s: the database does not answer: %s", self.name, error)
            self.disconnect()
            if not self.stopping.is_set():
                self._pause()

    @contextmanager
    def _asking(self, limit_s: float = CALL_LIMIT_S) -> Iterator[None]:
        """Around calls to the host: the supervisor sees how long they take."""
        self._limit, self.busy_since = limit_s, time.monotonic()
        try:
            yield
            self.answered_at = time.monotonic()
        finally:
            self.busy_since = None

    def connect(self) -> None:
        """Open the connection and subscribe to events. Raises VirtError."""
        with self._asking(OPEN_LIMIT_S):
            self._conn = open_for_watching(self.target)
            if self.stopping.is_set():
                return
            uuid = self._uuid or identify(self._conn)
        other = self._store.run(hosts_sync.same_machine, self.host_id, uuid)
        if other is not None:
            raise SameMachine(other)
        with self._asking(OPEN_LIMIT_S):
            self._subscription = subscribe(self._conn, self.inbox)
        self.is_connected = True

    def disconnect(self) -> None:
        """Close the connection, also one that was lost."""
        self.is_connected = False
        conn, self._conn = self._conn, None
        self.chores.disconnected()
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
        if conn is not None:
            close(conn)
        self.busy_since = None

    def lost(self, error: VirtError) -> None:
        """The connection could not be made or was lost: say so, unless it may be only a restart."""
        if self.stopping.is_set():
            return
        self._failures += 1
        log.log(
            logging.INFO if self.is_marked else logging.WARNING,
            "%s: %s %s",
            self.name,
            error.message,
            error.technical,
        )
        if isinstance(error, SameMachine):
            self.is_marked = True
            self._store.soon(hosts_sync.mark_same, self.host_id, error.other)
        elif self._failures >= 2 or self._is_new or isinstance(error, AuthenticationFailed):
            self.mark(error)

    def mark(self, error: VirtError) -> None:
        """Say in the database that the host does not answer."""
        self.is_marked = True
        self._store.soon(hosts_sync.mark_down, self.host_id, error)

    def _pause(self) -> None:
        """Wait before the next try: longer each time, never exactly as long as others do."""
        longest = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self.stopping.wait(longest * _random.uniform(0.6, 1.0))

    def _watch(self) -> None:
        """Until the connection is lost: events as they come, a sweep each SWEEP_S, definitions in between."""
        next_sweep = 0.0
        self._marks_at = 0.0
        while not self.stopping.is_set():
            now = time.monotonic()
            if now >= next_sweep:
                next_sweep = max(next_sweep + SWEEP_S, now) if next_sweep else now + SWEEP_S * _random.uniform(0.5, 1.0)
                self.sweep()
                self.chores.begin(now)
            notes = self.inbox.take(0 if self._unread else min(next_sweep, self.chores.due_at()) - time.monotonic())
            if notes:
                self.handle([*notes, *self._gathered()])
            elif self._unread:
                self.read_unread()
            self.chores.run_due(time.monotonic())

    def _gathered(self) -> list[Note]:
        time.sleep(GATHER_S)
        return self.inbox.take(0)

    # --- what it sees ------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """States and figures of everything: three calls, five each minute."""
        conn = self.connection()
        read_at = timezone.now()
        with self._asking():
            states = read_states(conn)
            node = node_figures(conn)
            marks = read_marks(conn) if time.monotonic() - self._marks_at >= MARKS_EVERY_S else None
        observed = self._recorder.vms(states)
        percent = self._recorder.host(node, self._memory_bytes, self.chores.load1)
        outcome = self._store.run(self._store_sweep, observed, node, percent, marks, read_at)
        if outcome is None:
            self.stop()  # the host was removed
            return
        if self._failures or self.is_marked or self._is_new:
            log.info("%s: answers, %s VMs", self.name, len(states))
        if self._marks_at == 0.0:  # first sweep of this connection: what happened before was not heard
            self.read_soon([state.uuid for state in states])
        self._failures, self.is_marked, self._is_new = 0, False, False
        self._marks_at = time.monotonic() if marks is not None else self._marks_at
        self._follow(outcome)
        self.chores.saw_all(states)
        self._minute()
        self._recorder.flush()

    def _store_sweep(
        self,
        observed: Sequence[Observed],
        node: NodeFigures,
        percent: float | None,
        marks: Marks | None,
        read_at: datetime,
    ) -> Outcome | None:
        with transaction.atomic():
            free, load1 = node.free_of(self._memory_bytes), self.chores.load1
            host = hosts_sync.store_figures(self.host_id, read_at, percent, free, load1)
            if host is None:
                return None
            self._memory_bytes = host.memory_bytes
            return vms_sync.apply(host, observed, read_at=read_at, is_complete=True, marks=marks)

    def _minute(self) -> None:
        means = self._recorder.minute()
        if means:
            self._store.run(vms_sync.append_history, self.host_id, means)

    def handle(self, notes: Sequence[Note]) -> None:
        """What events said. Notes that could not be stored are put back."""
        token = self._subscription.token if self._subscription else ""
        if any(note.kind is Kind.CLOSED and note.key in {token, ANY} for note in notes):
            raise HostUnreachable(_("The connection to the host was lost."))
        try:
            self._changed_vms(
                {note.key for note in notes if note.kind is Kind.DOMAIN},
                {note.key for note in notes if note.kind is Kind.STATE},
            )
        except DatabaseError:
            for note in notes:
                self.inbox.put(note)
            raise
        self.chores.heard(notes)

    def _changed_vms(self, changed: set[str], moved: set[str]) -> None:
        if len(changed | moved) > FEW:
            self.sweep()
            self.read_soon(changed)
            return
        read_at = timezone.now()
        observed: list[Observed] = []
        gone = []
        with self._asking():
            for uuid in changed | moved:
                one = self._read(uuid, with_detail=uuid in changed)
                if one is None:
                    gone.append(uuid)
                else:
                    observed.append(one)
        if observed or gone:
            self._store_some(observed, gone, read_at)

    def _read(self, uuid: str, *, with_detail: bool) -> Observed | None:
        if with_detail:
            reading = read_domain(self.connection(), uuid)
            return None if reading is None else Observed(reading.state, reading.detail)
        state: DomainState | None = read_state(self.connection(), uuid)
        return None if state is None else Observed(state)

    def read_unread(self) -> None:
        """The next few definitions; states and definitions are read together, so they fit each other."""
        uuids = list(self._unread)[:AT_ONCE]
        read_at = timezone.now()
        with self._asking():
            found = [(uuid, self._read(uuid, with_detail=True)) for uuid in uuids]
        for uuid in uuids:
            self._unread.pop(uuid, None)
        try:
            self._store_some(
                [one for _uuid, one in found if one], [uuid for uuid, one in found if one is None], read_at
            )
        except DatabaseError:
            self.read_soon(uuids)
            raise

    def _store_some(self, observed: list[Observed], gone: list[str], read_at: datetime) -> None:
        outcome = self._store.run_now(self._apply, observed, gone, read_at)
        if outcome is not None:
            self.chores.saw([one.state for one in observed])
            read = {one.state.uuid for one in observed if one.detail is not None}
            outcome.unread -= read
            self._follow(outcome)

    def _apply(self, observed: list[Observed], gone: list[str], read_at: datetime) -> Outcome | None:
        host = Host.objects.filter(pk=self.host_id).only(*hosts_sync.FIGURES).first()
        return None if host is None else vms_sync.apply(host, observed, read_at=read_at, gone=gone)

    def _follow(self, outcome: Outcome) -> None:
        self.read_soon(outcome.unread)
        for host_id, uuid in outcome.moved:
            self._nudge(host_id, uuid)
