"""What the API gives and takes. Sizes in bytes, times in ISO 8601, VMs by UUID, everything else by number."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field, field_validator

from jobs.discretion import tidy, tidy_lines
from storage.uploads import CHUNK_BYTES


class In(Schema):
    """What a call takes: text that a database can keep."""

    @field_validator("*", mode="after")
    @classmethod
    def _can_be_kept(cls, value: Any) -> Any:
        if not all(can_be_kept(text) for text in texts_in(value)):
            raise ValueError("This holds a character that can't be kept.")
        return value


def texts_in(value: Any) -> list[str]:
    """All texts in a value, also within lists and objects."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts_in(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_in(part)]
    return [value] if isinstance(value, str) else []


def can_be_kept(text: str) -> bool:
    """PostgreSQL takes no NUL; half of a surrogate pair (JSON can spell it) is no character at all."""
    return "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


Key = Annotated[int, Field(ge=1, le=2**63 - 1)]  # a row's number, as far as a database can count


class HostOut(Schema):
    id: int
    name: str
    state: str
    seen_at: datetime | None
    is_managed: bool
    maintenance: bool
    address: str
    uuid: UUID | None
    cpu_model: str
    cpus: int
    cpu_percent: float | None
    memory_bytes: int
    memory_free_bytes: int | None
    load1: float | None
    has_kvm: bool
    libvirt_version: str
    qemu_version: str
    bridges: list[str]
    trusted_hosts: list[int]
    certificate_until: datetime | None = Field(description="of its certificate for encrypted migration; null: none")
    last_error: str


class HostIn(In):
    address: str = Field(description="host name or IP address, as Drover and the other hosts reach it")
    name: str = Field("", description="empty: the address")
    transport: Literal["ssh", "tls", "tcp"] = "ssh"
    port: int | None = Field(None, description="empty: 22, or libvirt's own port")
    username: str = "root"
    migration_address: str = Field("", description="if VMs shall move over another network")


class HostChangeIn(In):
    address: str = ""
    name: str = ""
    transport: Literal["ssh", "tls", "tcp"] = "ssh"
    port: int | None = None
    username: str = "root"
    migration_address: str = ""


class HostKeyOut(Schema):
    kind: str
    fingerprint: str


class CheckOut(Schema):
    key: str
    title: str
    level: str
    text: str
    cure: str


class SetupOut(Schema):
    """The steps: keys, login, check; empty when the host belongs to the cluster."""

    id: int
    name: str
    is_managed: bool
    step: str = Field(alias="setup_step")
    offered: list[HostKeyOut] = Field(description="the keys the host shows: compare them with what its console says")
    offered_at: datetime | None
    pinned: list[HostKeyOut] = Field(alias="pinned_keys")
    public_key: str = Field(description="Drover's, for the account's authorized_keys")
    checks: list[CheckOut] = Field(alias="preflight")
    checked_at: datetime | None = Field(alias="preflight_at")


class FingerprintsIn(In):
    fingerprints: list[str] = Field(description='["SHA256:...", ...]: those you compared, and all the host shows')


class PasswordIn(In):
    password: str


class NameIn(In):
    name: str = Field(description="the host's name, to confirm")


class RemoveHostIn(NameIn):
    remove_keys: bool = Field(True, description="take Drover's key off the host, its migration key off the others")
    forget_vms: bool = Field(False, description="also forget its VMs: owners, tags, history")


class MaintenanceIn(In):
    on: bool
    note: str = Field("", description="why, for the others")


class EvacuateIn(In):
    include_off: bool = Field(False, description="also move VMs that are off")


class HostsIn(In):
    hosts: list[Key]


class NetworkPresenceOut(Schema):
    host_id: int
    is_active: bool
    autostart: bool
    bridge: str
    seen_at: datetime | None
    missing_since: datetime | None


class NetworkOut(Schema):
    id: int
    name: str
    mode: str
    spec: dict[str, Any] = Field(description="what it shall be, if it was defined here")
    presences: list[NetworkPresenceOut]


class NetworkIn(In):
    name: str
    mode: Literal["nat", "route", "isolated", "bridge"] = "nat"
    bridge: str = Field("", description="bridged: the hosts' own, such as br0")
    cidr: str = Field("", description='"192.168.100.0/24"; the host gets the first address, or the one given')
    dhcp: bool = True
    dhcp_start: str = ""
    dhcp_end: str = ""
    domain: str = ""
    autostart: bool = True
    hosts: list[Key]


class NetworkActionIn(In):
    hosts: list[Key] = Field(default=[], description="empty: all that have it")
    force: bool = Field(False, description="running VMs may lose their connection")


class PoolPresenceOut(Schema):
    host_id: int
    is_active: bool
    autostart: bool
    capacity_bytes: int | None
    available_bytes: int | None
    seen_at: datetime | None
    missing_since: datetime | None
    error: str


class PoolOut(Schema):
    id: int
    name: str
    kind: str
    source: dict[str, Any]
    target_path: str
    is_shared: bool
    presences: list[PoolPresenceOut]


class PoolIn(In):
    name: str
    kind: str = Field(description="dir, nfs, glusterfs")
    source: dict[str, str] = Field(default={}, description='{"host": ..., "path": ..., "version": ...}')
    target_path: str = Field("", description="the folder on the hosts; empty: one of Drover's choice")
    is_shared: bool = Field(False, description="dir: all hosts see the same content there")
    hosts: list[Key]
    autostart: bool = True


class SearchIn(In):
    kind: str = Field(description="nfs")
    server: str
    hosts: list[Key] = Field(description="the first of them that answers asks the server")


class VolumeOut(Schema):
    id: int
    name: str
    host_id: int | None
    path: str
    format: str
    capacity_bytes: int
    allocation_bytes: int
    backing_path: str
    missing_since: datetime | None


class ImageOut(Schema):
    id: int
    name: str
    version: str
    os_name: str
    state: str
    is_iso: bool
    pool_id: int
    path: str
    format: str
    size_bytes: int
    virtual_size_bytes: int
    checksum: str
    error: str
    created_at: datetime


class ImageIn(In):
    """What every import asks."""

    name: str = Field(description="family: versions of the same system share it")
    version: str
    os_name: str = ""
    description: str = ""
    checksum: str = Field("", description="SHA-256 or SHA-512, or the address of a SHA256SUMS file")


class PlacedImageIn(ImageIn):
    pool: Key
    host: Key | None = Field(None, description="which host receives the file; empty: any that has the pool")


class UrlImportIn(PlacedImageIn):
    url: str = Field(description="http or https")


class VolumeImportIn(ImageIn):
    volume: Key = Field(description="a volume's number")


class UploadIn(PlacedImageIn):
    file_name: str = ""
    size_bytes: int = Field(ge=1, le=2**40)


class UploadOut(Schema):
    id: UUID
    image_id: int
    job_id: int | None
    file_name: str
    size: int = Field(alias="size_bytes")
    accepted: int = Field(alias="accepted_bytes", description="how much was taken: send the part that begins here")
    stored: int = Field(alias="stored_bytes", description="how much has reached the host")
    chunk: int = Field(CHUNK_BYTES, description="the most bytes of one part")


class ImageChangeIn(In):
    name: str = ""
    version: str = ""
    os_name: str = ""
    description: str = ""


class DeleteImageIn(In):
    keep_file: bool = False


class LineOut(Schema):
    at: datetime
    level: str
    text: str


class JobOut(Schema):
    id: int
    operation: str
    title: str
    state: str
    percent: float | None
    step: str
    detail: dict[str, Any]
    user: str | None = None
    parent_id: int | None
    target_kind: str
    target_key: str
    error: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @staticmethod
    def resolve_user(job: Any) -> str | None:
        return job.user.username if job.user else None

    @staticmethod
    def resolve_title(job: Any, context: Any) -> str:
        return str(tidied(job, context).title)

    @staticmethod
    def resolve_step(job: Any, context: Any) -> str:
        return str(tidied(job, context).step)

    @staticmethod
    def resolve_detail(job: Any, context: Any) -> dict[str, Any]:
        return dict(tidied(job, context).detail)

    @staticmethod
    def resolve_error(job: Any, context: Any) -> str:
        return str(tidied(job, context).error)


def tidied(job: Any, context: Any) -> Any:
    """Without what is not for who asks."""
    tidy(context["request"].user, [job])
    return job


class JobDetailOut(JobOut):
    params: dict[str, Any]
    result: dict[str, Any]
    commands: list[str]
    lines: list[LineOut]
    children: list[JobOut]

    @staticmethod
    def resolve_params(job: Any, context: Any) -> dict[str, Any]:
        return dict(tidied(job, context).params)

    @staticmethod
    def resolve_result(job: Any, context: Any) -> dict[str, Any]:
        return dict(tidied(job, context).result)

    @staticmethod
    def resolve_commands(job: Any, context: Any) -> list[str]:
        return list(tidied(job, context).commands)

    @staticmethod
    def resolve_lines(job: Any, context: Any) -> list[Any]:
        found = list(job.lines.all())
        tidy_lines(context["request"].user, found)
        return found

    @staticmethod
    def resolve_children(job: Any) -> list[Any]:
        return list(job.children.select_related("user").order_by("id"))


class FieldProblem(Schema):
    field: str
    message: str


class Problem(Schema):
    """RFC 9457: what went wrong, in words for people, and for programs what to do about it."""

    type: str = Field(description="about:blank: the status says it all")
    title: str
    status: int
    detail: str
    field: str = Field("", description="which one is to blame")
    errors: list[FieldProblem] = Field([], description="all of them")
    retry_after_s: int = Field(0, description="ask again then")
    accepted: int = Field(0, description="uploads: where to go on")
