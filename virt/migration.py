"""Moving a domain between hosts, and finding out afterwards where it runs.

Migrations are peer to peer: the source's libvirtd drives them, so they go on if our worker dies, and the truth can be
asked from both hosts at any time (libvirt.org/migration.html).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import libvirt

from virt.connection import connect
from virt.errors import HostUnreachable, NotFound, VirtError, translate
from virt.target import Target
from virt.xml.tree import parse_document, serialise

MIB = 1024 * 1024
GONE, RUNNING, PAUSED, INCOMING, OFF, UNKNOWN = "gone", "running", "paused", "incoming", "off", "unknown"
HANDED_OVER, TORN = "handed over", "torn"  # post-copy: runs elsewhere but memory is still here; the way between broke
ALIVE = frozenset({RUNNING, PAUSED})
_INCOMING = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN
_OUTGOING = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
_POST_COPY = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY): HANDED_OVER,
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED): TORN,
}


@dataclass(frozen=True)
class Options:
    """How to move. mode: live (shared storage), copy (live, disks too), offline (a VM that is off).

    bandwidth_bytes_s: 0 is unlimited. disks: target names whose content must be copied (mode copy).
    """

    mode: str = "live"
    bandwidth_bytes_s: int = 0
    auto_converge: bool = True
    post_copy: bool = False
    post_copy_after_pass: bool = False  # switch by itself after one pass; else only when it is told to
    compression: bool = False
    tunnelled: bool = False
    tls: bool = False
    tls_name: str = ""  # what the destination's certificate is valid for, if that is not the address
    is_persistent: bool = True
    disks: tuple[str, ...] = ()
    shared_backing: bool = False  # copy only the overlay: the image below it is on both hosts
    resume: bool = False  # go on with a post-copy whose way broke, instead of beginning a move

    def flags(self) -> int:
        """virDomainMigrateFlags."""
        flags = libvirt.VIR_MIGRATE_PEER2PEER
        if self.is_persistent:
            flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        if self.mode == "offline":
            return flags | libvirt.VIR_MIGRATE_OFFLINE
        flags |= libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
        wishes = {
            libvirt.VIR_MIGRATE_AUTO_CONVERGE: self.auto_converge,
            libvirt.VIR_MIGRATE_POSTCOPY: self.post_copy,
            libvirt.VIR_MIGRATE_POSTCOPY_RESUME: self.resume,
            libvirt.VIR_MIGRATE_COMPRESSED: self.compression,
            libvirt.VIR_MIGRATE_TUNNELLED: self.tunnelled,
            libvirt.VIR_MIGRATE_TLS: self.tls,
        }
        for flag, wished in wishes.items():
            flags |= flag if wished else 0
        if self.mode == "copy":
            inc, full = libvirt.VIR_MIGRATE_NON_SHARED_INC, libvirt.VIR_MIGRATE_NON_SHARED_DISK
            flags |= inc if self.shared_backing else full
        return flags

    def params(self, destination_address: str) -> dict[str, Any]:
        """Typed parameters of virDomainMigrateToURI3."""
        params: dict[str, Any] = {}
        if destination_address and not self.tunnelled and self.mode != "offline":
            where = f"[{destination_address}]" if ":" in destination_address else destination_address
            params[libvirt.VIR_MIGRATE_PARAM_URI] = f"tcp://{where}"
        if self.bandwidth_bytes_s:
            params[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = max(1, self.bandwidth_bytes_s // MIB)
        if self.tls and self.tls_name:
            params[libvirt.VIR_MIGRATE_PARAM_TLS_DESTINATION] = self.tls_name
        if self.mode == "copy" and self.disks:
            params[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = list(self.disks)
        return params

    def command(self, name: str, source_uri: str, destination_uri: str, destination_address: str) -> list[str]:
        """The virsh command that would do the same (law 7)."""
        argv = ["virsh", "-c", source_uri, "migrate", "--p2p"]
        argv += ["--offline"] if self.mode == "offline" else ["--live", "--abort-on-error"]
        argv += ["--persistent", "--undefinesource"] if self.is_persistent else []
        if self.mode != "offline":
            words = {
                "--auto-converge": self.auto_converge,
                "--postcopy": self.post_copy,
                "--postcopy-resume": self.resume,
                "--postcopy-after-precopy": self.post_copy and self.post_copy_after_pass,
                "--compressed": self.compression,
                "--tunnelled": self.tunnelled,
                "--tls": self.tls,
            }
            argv += [word for word, wished in words.items() if wished]
            argv += ["--tls-destination", self.tls_name] if self.tls and self.tls_name else []
        if self.mode == "copy":
            argv.append("--copy-storage-inc" if self.shared_backing else "--copy-storage-all")
            argv += ["--migrate-disks", ",".join(self.disks)] if self.disks else []
        if self.bandwidth_bytes_s:
            argv += ["--bandwidth", str(max(1, self.bandwidth_bytes_s // MIB))]
        argv += [name, destination_uri]
        uri = self.params(destination_address).get(libvirt.VIR_MIGRATE_PARAM_URI)
        return [*argv, str(uri)] if uri else argv


@dataclass(frozen=True)
class Sample:
    """One look at a running migration: bytes, bytes per second, milliseconds (virDomainGetJobStats)."""

    elapsed_ms: int = 0
    total: int = 0
    remaining: int = 0
    processed: int = 0
    speed: int = 0
    dirty_rate: int = 0
    iteration: int = 0
    expected_downtime_ms: int | None = None
    throttle_percent: int = 0
    post_copy: bool = False

    @property
    def percent(self) -> float:
        return 100.0 * (1 - self.remaining / self.total) if self.total else 0.0

    def as_detail(self) -> dict[str, Any]:
        return asdict(self)


def _sample(stats: dict[str, Any], *, is_post_copy: bool) -> Sample:
    return Sample(
        elapsed_ms=int(stats.get(libvirt.VIR_DOMAIN_JOB_TIME_ELAPSED, 0)),
        total=int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_TOTAL, 0)),
        remaining=int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_REMAINING, 0)),
        processed=int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED, 0)),
        speed=int(stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_BPS, 0)) + int(stats.get(libvirt.VIR_DOMAIN_JOB_DISK_BPS, 0)),
        dirty_rate=int(stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, 0))
        * int(stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, 4096)),
        iteration=int(stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_ITERATION, 0)),
        expected_downtime_ms=stats.get(libvirt.VIR_DOMAIN_JOB_DOWNTIME),
        throttle_percent=int(stats.get(libvirt.VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE, 0)),
        post_copy=is_post_copy,
    )


def sample(source: Target, uuid: str) -> Sample | None:
    """How far an outgoing migration is; None if none runs there (any more). Raises HostUnreachable."""
    with connect(source) as connection:
        try:
            domain = connection.lookupByUUIDString(uuid)
            stats, state = domain.jobStats(), tuple(domain.state())
        except libvirt.libvirtError as error:
            problem = translate(error)
            if isinstance(problem, HostUnreachable):
                raise problem from error
            return None
    if stats.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE:
        return None
    if stats.get(libvirt.VIR_DOMAIN_JOB_OPERATION, _OUTGOING) != _OUTGOING:
        return None
    return _sample(stats, is_post_copy=state == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY))


@dataclass(frozen=True)
class Summary:
    """What a finished migration cost."""

    total_ms: int
    downtime_ms: int | None
    bytes_moved: int
    iterations: int
    compressed_pages: int | None = None  # None: compression was off


def summary(destination: Target, uuid: str) -> Summary | None:
    """The figures of the last completed migration as the destination kept them, or None if it has none."""
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED
    try:
        with connect(destination) as connection:
            stats = connection.lookupByUUIDString(uuid).jobStats(flags)
    except VirtError:
        return None
    if not stats or stats.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE:
        return None
    return Summary(
        total_ms=int(stats.get(libvirt.VIR_DOMAIN_JOB_TIME_ELAPSED, 0)),
        downtime_ms=stats.get(libvirt.VIR_DOMAIN_JOB_DOWNTIME),
        bytes_moved=int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED, 0)),
        iterations=int(stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_ITERATION, 0)),
        compressed_pages=stats.get(libvirt.VIR_DOMAIN_JOB_COMPRESSION_PAGES),
    )


@contextmanager
def _outgoing(source: Target, uuid: str) -> Iterator["libvirt.virDomain"]:
    """The domain while it leaves. No error if what is asked of it comes too late, after the migration has ended."""
    with connect(source) as connection:
        try:
            yield connection.lookupByUUIDString(uuid)
        except libvirt.libvirtError as error:
            if translate(error).code not in {libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN}:
                raise


def abort(source: Target, uuid: str) -> None:
    """Ask the source to abort the migration; the VM goes on there."""
    with _outgoing(source, uuid) as domain:
        domain.abortJob()


def switch_to_post_copy(source: Target, uuid: str) -> None:
    """Let the VM run at the destination now; what is missing there is fetched."""
    with _outgoing(source, uuid) as domain:
        domain.migrateStartPostCopy()


def suspend(source: Target, uuid: str) -> None:
    """Pause the VM so that its migration ends soon; libvirt lets it go on at the destination."""
    with _outgoing(source, uuid) as domain:
        domain.suspend()


def _is_incoming(domain: "libvirt.virDomain") -> bool:
    """Whether a domain that is paused by a migration is its receiver: libvirt has statistics only for the sender."""
    try:
        return bool(domain.jobStats().get(libvirt.VIR_DOMAIN_JOB_OPERATION) == _INCOMING)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
            return True
        raise


def where(target: Target, uuid: str) -> str:
    """How one host holds this domain: gone, running, paused, incoming (a migration that has not finished), off;
    with post-copy also handed over or torn. `unknown` if the host does not answer.
    """
    try:
        with connect(target) as connection:
            domain = connection.lookupByUUIDString(uuid)
            state, reason = domain.state()
            if state == libvirt.VIR_DOMAIN_PAUSED and reason == libvirt.VIR_DOMAIN_PAUSED_MIGRATION:
                return INCOMING if _is_incoming(domain) else PAUSED
    except NotFound:
        return GONE
    except HostUnreachable:
        return UNKNOWN
    except VirtError:
        return UNKNOWN
    if (state, reason) in _POST_COPY:
        return _POST_COPY[state, reason]
    if state in {libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED}:
        return OFF
    return PAUSED if state == libvirt.VIR_DOMAIN_PAUSED else RUNNING


@dataclass
class Mover:
    """The blocking libvirt call in a thread of its own. `wait` tells when it ended; `error` why it failed."""

    source: Target
    uuid: str
    destination_uri: str
    destination_address: str
    options: Options
    error: VirtError | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._move, name=f"migrate-{self.uuid}", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether the call has ended, waiting at most this long."""
        return self._ended.wait(seconds)

    def _move(self) -> None:
        try:
            with connect(self.source) as connection:
                connection.lookupByUUIDString(self.uuid).migrateToURI3(
                    self.destination_uri, self.options.params(self.destination_address), self.options.flags()
                )
        except VirtError as error:
            self.error = error
        finally:
            self._ended.set()


def keep_autostart(source: Target, uuid: str) -> bool:
    """Whether the domain starts with its host: libvirt does not carry it over."""
    with connect(source) as connection:
        domain = connection.lookupByUUIDString(uuid)
        return bool(domain.isPersistent() and domain.autostart())


def set_autostart(target: Target, uuid: str) -> None:
    with connect(target) as connection:
        connection.lookupByUUIDString(uuid).setAutostart(1)


def compare_cpu(source: Target, destination: Target, uuid: str) -> bool | None:
    """Whether the destination can give a running VM the CPU it has; None if libvirt can't say (TCG's "max" CPU)."""
    with connect(source) as connection:
        live = connection.lookupByUUIDString(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE)
    domain = parse_document(live, "domain")
    cpu, kind = domain.find("cpu"), domain.find("os/type")
    if cpu is None or kind is None:
        return None
    arch, machine, domain_type = kind.get("arch"), kind.get("machine"), domain.get("type")
    try:
        with connect(destination) as connection:
            result = connection.compareHypervisorCPU(None, arch, machine, domain_type, serialise(cpu), 0)
    except HostUnreachable:
        raise
    except VirtError:
        return None
    return bool(result in {libvirt.VIR_CPU_COMPARE_IDENTICAL, libvirt.VIR_CPU_COMPARE_SUPERSET})


def free_memory_bytes(target: Target) -> int:
    """Memory a new VM could have: free plus what the kernel can give back (node memory statistics)."""
    with connect(target) as connection:
        stats = connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
    return int(stats.get("free", 0) + stats.get("buffers", 0) + stats.get("cached", 0)) * 1024


def network_active(target: Target, name: str) -> bool:
    try:
        with connect(target) as connection:
            return bool(connection.networkLookupByName(name).isActive())
    except NotFound:
        return False


def has_volume(target: Target, path: str) -> bool:
    """Whether a pool of the host holds a volume at this path (as of its last refresh)."""
    try:
        with connect(target) as connection:
            connection.storageVolLookupByPath(path)
    except NotFound:
        return False
    return True
