"""One host's answer, compared with the rows and written in one transaction (used by `vms.sync`)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q

from hosts.models import Host
from jobs.models import Job, JobLock
from jobs.states import ACTIVE
from virt.inventory.domains import DomainDetail, DomainState, Marks
from virt.inventory.figures import Figures
from vms import definitions, places
from vms.models import Presence, Vm
from vms.rows import write
from vms.states import ALIVE

CPU_STEP = 0.5  # figures that moved less than this are not worth a write
MEMORY_STEP = 16 << 20
LOUD = 100  # figures of more VMs than this at once are not announced one by one


@dataclass(frozen=True)
class Observed:
    """One VM as one host reports it. detail: read because something changed; figures: only in a sweep."""

    state: DomainState
    detail: DomainDetail | None = None
    figures: Figures | None = None


@dataclass
class Outcome:
    """unread: UUIDs whose definitions must be read on this host; moved: (host, UUID) to be read on another one."""

    unread: set[str] = field(default_factory=set)
    moved: set[tuple[int, str]] = field(default_factory=set)


class _Row(NamedTuple):
    """What is stored of one VM on the host of the round."""

    uuid: str
    vm_id: int
    state: str
    is_in_transit: bool
    is_persistent: bool
    seen_at: datetime
    missing_since: datetime | None
    name: str
    vm_state: str
    vm_missing_since: datetime | None
    host_id: int | None
    read_from_id: int | None
    is_duplicate: bool
    autostart: bool
    memory_bytes: int
    vcpus: int
    cpu_percent: float | None
    memory_used_bytes: int | None


_COLUMNS = (
    "vm__uuid",
    "vm_id",
    "observed_state",
    "is_in_transit",
    "is_persistent",
    "seen_at",
    "missing_since",
    "vm__name",
    "vm__observed_state",
    "vm__missing_since",
    "vm__host_id",
    "vm__read_from_id",
    "vm__is_duplicate",
    "vm__autostart",
    "vm__memory_bytes",
    "vm__vcpus",
    "vm__cpu_percent",
    "vm__memory_used_bytes",
)


class Round:
    """One transaction's worth of what one host said."""

    def __init__(self, host: Host, read_at: datetime, cause: str) -> None:
        self.host = host
        self.read_at = read_at
        self.cause = cause
        self.rows: dict[str, _Row] = {}
        self.unsettled: set[int] = set()
        self.changes: dict[int, dict[str, Any]] = {}  # of Vm, by primary key
        self.uuids: dict[int, str] = {}
        self.is_list_changed = False
        self.quiet: set[int] = set()  # only their figures changed
        self.outcome = Outcome()

    def load(self, uuids: Collection[str] | None) -> None:
        presences = Presence.objects.filter(host=self.host)
        if uuids is not None:
            presences = presences.filter(vm__uuid__in=uuids)
        for values in presences.values_list(*_COLUMNS):
            row = _Row(str(values[0]), *values[1:])
            self.rows[row.uuid] = row
            self.uuids[row.vm_id] = row.uuid

    # --- presences on this host --------------------------------------------------------------------------------------

    def take(self, observed: Sequence[Observed], marks: Marks | None) -> None:
        changed: dict[int, dict[str, Any]] = {}
        strangers = []
        for one in observed:
            row = self.rows.get(one.state.uuid)
            if row is None:
                strangers.append(one)
                continue
            values = self._presence_changes(row, one, marks)
            if values:
                changed[row.vm_id] = values
            self._compare(row, one, marks)
        self._write_presences(changed)
        if strangers:
            self._add(strangers, marks)

    def _presence_changes(self, row: _Row, one: Observed, marks: Marks | None) -> dict[str, Any]:
        if row.seen_at > self.read_at:
            return {}  # somebody asked later than this answer and stored it already
        values: dict[str, Any] = {}
        if row.state != one.state.state or row.is_in_transit != one.state.is_in_transit or row.missing_since:
            values = {
                "observed_state": one.state.state,
                "is_in_transit": one.state.is_in_transit,
                "missing_since": None,
                "seen_at": self.read_at,
            }
        is_persistent = self._is_persistent(one, marks)
        if is_persistent is not None and is_persistent != row.is_persistent:
            values["is_persistent"] = is_persistent
        return values

    def _is_persistent(self, one: Observed, marks: Marks | None) -> bool | None:
        if one.detail is not None:
            return one.detail.is_persistent
        return None if marks is None else one.state.uuid in marks.persistent

    def _write_presences(self, changed: dict[int, dict[str, Any]]) -> None:
        if changed:
            keys = dict(Presence.objects.filter(host=self.host, vm_id__in=changed).values_list("vm_id", "pk"))
            write(Presence, {keys[vm_id]: values for vm_id, values in changed.items()})
            self.unsettled |= set(changed)

    def _add(self, strangers: list[Observed], marks: Marks | None) -> None:
        """VMs that this host did not have yet: known ones (being made, moved here, back again) and new ones."""
        wanted = {one.state.uuid for one in strangers}
        known = {str(uuid): pk for uuid, pk in Vm.objects.filter(uuid__in=wanted).values_list("uuid", "pk")}
        new = [one for one in strangers if one.state.uuid not in known]
        removed = _just_removed({one.state.uuid for one in new}, self.read_at) if new else set()
        adopted = Vm.objects.bulk_create(
            Vm(
                uuid=one.state.uuid,
                name=one.state.name,
                host=self.host,
                observed_state=one.state.state,
                state_since=self.read_at,
                seen_at=self.read_at,
            )
            for one in new
            if one.state.uuid not in removed
        )
        known.update((str(vm.uuid), vm.pk) for vm in adopted)
        here = [one for one in strangers if one.state.uuid in known]
        Presence.objects.bulk_create(
            Presence(
                vm_id=known[one.state.uuid],
                host=self.host,
                observed_state=one.state.state,
                is_in_transit=one.state.is_in_transit,
                is_persistent=self._is_persistent(one, marks) is not False,
                seen_at=self.read_at,
            )
            for one in here
        )
        self.unsettled |= {known[one.state.uuid] for one in here}
        self.uuids.update((known[one.state.uuid], one.state.uuid) for one in here)
        self.is_list_changed = self.is_list_changed or bool(adopted)
        self.load([one.state.uuid for one in here])

    def miss(self, uuids: Iterable[str]) -> None:
        """Mark what this host no longer holds."""
        changed = {}
        for uuid in uuids:
            row = self.rows.get(uuid)
            if row is not None and row.missing_since is None and row.seen_at <= self.read_at:
                changed[row.vm_id] = {"missing_since": self.read_at, "is_in_transit": False}
        self._write_presences(changed)

    # --- the VM itself -----------------------------------------------------------------------------------------------

    def _compare(self, row: _Row, one: Observed, marks: Marks | None) -> None:
        """Columns that this host decides, if the VM is here; and whether it has to be settled where it is."""
        state = one.state
        is_here = row.host_id == self.host.pk
        is_alive = state.state in ALIVE and not state.is_in_transit
        is_other = row.vm_state != state.state or row.vm_missing_since is not None
        if row.is_duplicate or (is_other if is_here else is_alive):
            self.unsettled.add(row.vm_id)
        if not is_here or row.seen_at > self.read_at:
            return
        values: dict[str, Any] = {}
        if row.name != state.name:
            values["name"] = state.name
            self.is_list_changed = True
            self.outcome.unread.add(row.uuid)
        if marks is not None and (state.uuid in marks.autostart) != row.autostart:
            values["autostart"] = state.uuid in marks.autostart
        if marks is not None and (state.uuid in marks.persistent) != row.is_persistent:
            self.outcome.unread.add(row.uuid)
        if row.read_from_id != self.host.pk:
            self.outcome.unread.add(row.uuid)
        if state.state in ALIVE:
            values.update(_live_sizes(row, one))
        self._note(row.vm_id, values)
        if one.figures is not None and state.state in ALIVE:
            self._figures(row, one.figures)

    def _figures(self, row: _Row, figures: Figures) -> None:
        values: dict[str, Any] = {}
        if _moved(row.cpu_percent, figures.cpu_percent, CPU_STEP):
            values["cpu_percent"] = figures.cpu_percent
        if _moved(row.memory_used_bytes, figures.memory_used_bytes, MEMORY_STEP):
            values["memory_used_bytes"] = figures.memory_used_bytes
        if values:
            if row.vm_id not in self.changes:
                self.quiet.add(row.vm_id)
            self.changes.setdefault(row.vm_id, {}).update(values)

    def _note(self, vm_id: int, values: dict[str, Any]) -> None:
        if values:
            self.quiet.discard(vm_id)
            self.changes.setdefault(vm_id, {}).update(values)

    def settle_all(self) -> None:
        """Take every VM of this host as one to be settled: what is known of the host itself has changed."""
        self.unsettled = set(Presence.objects.filter(host=self.host).values_list("vm_id", flat=True))

    def settle(self) -> None:
        """Decide where each VM is that anything was said about, from what all hosts say."""
        if not self.unsettled:
            return
        by_vm: dict[int, list[Presence]] = {vm_id: [] for vm_id in self.unsettled}
        presences = Presence.objects.filter(vm_id__in=self.unsettled).select_related("host")
        for presence in presences.only(*_PRESENCE_COLUMNS):
            if presence.host_id == self.host.pk:
                presence.host = self.host  # as it is in this transaction
            by_vm[presence.vm_id].append(presence)
        for vm in Vm.objects.filter(pk__in=self.unsettled).only(*_VM_COLUMNS):
            self.uuids[vm.pk] = str(vm.uuid)
            values = _settled(vm, by_vm[vm.pk], self.read_at)
            if values.get("is_duplicate") and _is_held(str(vm.uuid)):
                del values["is_duplicate"]  # a job of ours moves it: the job says what is true
            self._note_settled(vm, values)

    def _note_settled(self, vm: Vm, values: dict[str, Any]) -> None:
        if values:
            self.is_list_changed = True
            self._note(vm.pk, values)
        host_id = values.get("host_id", vm.host_id)
        if host_id is None or values.get("missing_since") is not None:
            return
        if "host_id" in values or vm.read_from_id != host_id:
            if host_id == self.host.pk:
                self.outcome.unread.add(str(vm.uuid))
            else:
                self.outcome.moved.add((host_id, str(vm.uuid)))

    def details(self, observed: Sequence[Observed]) -> None:
        """Store definitions of VMs that are here."""
        read = {}
        for one in observed:
            row = self.rows.get(one.state.uuid)
            if row is not None and one.detail is not None and self._host_of(row) == self.host.pk:
                read[row.vm_id] = (one.state, one.detail)
        if not read:
            return
        for vm in Vm.objects.filter(pk__in=read).only(*definitions.COLUMNS):
            state, detail = read[vm.pk]
            self._note(vm.pk, definitions.changes(vm, state, detail, self.host, self.read_at, self.cause))
            self.outcome.unread.discard(str(vm.uuid))

    def _host_of(self, row: _Row) -> int | None:
        host_id: int | None = self.changes.get(row.vm_id, {}).get("host_id", row.host_id)
        return host_id

    # --- the end -----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write what changed of the VMs."""
        for pk, values in self.changes.items():
            if pk not in self.quiet:
                values.setdefault("seen_at", self.read_at)
        write(Vm, self.changes)

    def topics(self) -> list[str]:
        """What open pages have to hear."""
        loud = [pk for pk in self.changes if pk not in self.quiet]
        quiet = self.quiet if len(self.quiet) <= LOUD else set()
        topics = [f"vm.{self.uuids[pk]}" for pk in (*loud, *quiet)]
        return [*topics, "vms"] if self.is_list_changed else topics


_PRESENCE_COLUMNS = (
    "vm_id",
    "host",
    "observed_state",
    "is_in_transit",
    "seen_at",
    "missing_since",
    "host__observed_state",
    "host__seen_at",
)
_VM_COLUMNS = (
    "uuid",
    "host",
    "observed_state",
    "missing_since",
    "is_duplicate",
    "read_from",
)


def _settled(vm: Vm, presences: Sequence[Presence], now: datetime) -> dict[str, Any]:
    """The columns of the VM that have to change after what all hosts say about it."""
    place = places.choose(vm.host_id, presences)
    if place is None:
        gone: dict[str, Any] = {} if vm.missing_since else {"missing_since": now, **_OFF}
        return {**gone, "is_duplicate": False} if vm.is_duplicate else gone
    values: dict[str, Any] = {}
    state = places.state_at(place)
    if vm.host_id != place.host_id:
        values["host_id"] = place.host_id
    if vm.missing_since is not None:
        values["missing_since"] = None
    if vm.observed_state != state:
        values.update(observed_state=state, state_since=now)
        values.update(_started(vm, state, now))
    is_duplicate = places.is_duplicate(presences, vm.is_duplicate)
    if is_duplicate != vm.is_duplicate:
        values["is_duplicate"] = is_duplicate
    return values


_OFF: dict[str, Any] = {"cpu_percent": None, "memory_used_bytes": None}


def _started(vm: Vm, state: str, now: datetime) -> dict[str, Any]:
    if state in ALIVE:
        return {} if vm.observed_state in ALIVE else {"started_at": now}
    return {"started_at": None, "addresses": [], "address": "", **_OFF}


def _live_sizes(row: _Row, one: Observed) -> dict[str, Any]:
    """Memory and CPUs as the running VM has them now: they can be changed while it runs."""
    counters = one.state.counters
    values: dict[str, Any] = {}
    if counters.memory_bytes and counters.memory_bytes != row.memory_bytes:
        values["memory_bytes"] = counters.memory_bytes
    if counters.vcpus and counters.vcpus != row.vcpus:
        values["vcpus"] = counters.vcpus
    return values


def _moved(old: float | None, new: float | None, step: float) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(old - new) >= step


def _just_removed(uuids: set[str], read_at: datetime) -> set[str]:
    """UUIDs without a row whose job is running or ended after the host was asked: they were removed meanwhile."""
    jobs = Job.objects.filter(target_kind="vm", target_key__in=uuids)
    return set(jobs.filter(Q(state__in=ACTIVE) | Q(finished_at__gte=read_at)).values_list("target_key", flat=True))


def _is_held(uuid: str) -> bool:
    return JobLock.objects.filter(key__startswith=f"vm:{uuid}#").exists()
