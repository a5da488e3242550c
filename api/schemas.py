"""What the API gives and takes. Sizes in bytes, times in ISO 8601, VMs by UUID, everything else by number."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field


class HostOut(Schema):
    id: int
    name: str
    state: str
    seen_at: datetime | None
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
    last_error: str


class HostIn(Schema):
    """Adds a host whose keys are known: the fingerprints are not asked for again."""

    name: str
    transport: Literal["ssh", "tcp", "tls"] = "ssh"
    address: str
    port: int = 0
    username: str = "root"
    host_keys: list[tuple[str, str]] = Field(default=[], description='[["ssh-ed25519", "<base64>"], ...]')


class OnIn(Schema):
    on: bool


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


class PoolIn(Schema):
    name: str
    kind: Literal["dir", "nfs", "glusterfs"]
    source: dict[str, str] = Field(default={}, description='{"host": ..., "path": ..., "version": ...}')
    target_path: str = ""
    hosts: list[int]
    autostart: bool = True


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


class VmOut(Schema):
    uuid: UUID
    name: str
    state: str
    host_id: int | None
    owner: str | None = None
    tags: list[str]
    vcpus: int
    memory_bytes: int
    addresses: list[str]
    autostart: bool
    cpu_percent: float | None
    missing_since: datetime | None
    is_duplicate: bool
    job_id: int | None

    @staticmethod
    def resolve_owner(vm: Any) -> str | None:
        return vm.owner.username if vm.owner else None

    @staticmethod
    def resolve_tags(vm: Any) -> list[str]:
        return [tag.name for tag in vm.tags.all()]


class VmDetailOut(VmOut):
    description: str
    image_id: int | None
    created_at: datetime
    started_at: datetime | None
    seen_at: datetime | None
    hardware: dict[str, Any]


class NicIn(Schema):
    network: str = ""
    bridge: str = ""
    mac: str = ""
    address: str = Field("", description='static: "10.0.0.5/24"; empty: DHCP')
    gateway: str = ""
    dns: list[str] = []


class FirstBootIn(Schema):
    enabled: bool = True
    user: str = ""
    ssh_keys: list[str] = []
    password_hash: str = Field("", description="crypt(3) format; never stored by Drover")
    allow_password_ssh: bool = False
    hostname: str = ""
    domain: str = ""
    packages: list[str] = []
    user_data: str = ""


class VmIn(Schema):
    name: str
    count: int = 1
    title: str = ""
    description: str = ""
    owner: int | None = None
    tags: list[str] = []
    image: int | str | None = Field(None, description="an image's number, or a family's name for its latest version")
    iso: int | None = None
    pool: int | None = None
    disk_bytes: int = Field(0, description="0: as large as the image")
    host: int | None = Field(None, description="empty: the best place")
    vcpus: int = 1
    max_vcpus: int | None = None
    memory_bytes: int = 1024**3
    nics: list[NicIn] = []
    firmware: str = "bios"
    cpu: str = "common"
    start: bool = True
    autostart: bool = False
    first_boot: FirstBootIn = Field(default_factory=lambda: FirstBootIn.model_validate({}))


class MigrateIn(Schema):
    host: int | None = Field(None, description="empty: the best place")
    mode: Literal["live", "copy", "offline"] = "live"
    bandwidth_mib: int = Field(0, ge=0, le=1_000_000)
    auto_converge: bool = True
    post_copy: bool = False
    compression: bool = False
    tunnelled: bool = False
    tls: bool = False
    timeout_s: int = Field(0, ge=0, le=86_400)
    on_timeout: Literal["abort", "pause", "post_copy"] = "abort"


class DestinationOut(Schema):
    host_id: int
    name: str
    is_possible: bool
    blockers: list[str]
    warnings: list[str]


class DeleteIn(Schema):
    disks: list[str] = Field(default=[], description="paths of the disks to remove, named one by one")


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


class JobDetailOut(JobOut):
    params: dict[str, Any]
    result: dict[str, Any]
    commands: list[str]
    lines: list[LineOut]
    children: list[JobOut]

    @staticmethod
    def resolve_lines(job: Any) -> list[Any]:
        return list(job.lines.all())

    @staticmethod
    def resolve_children(job: Any) -> list[Any]:
        return list(job.children.select_related("user").order_by("id"))


class Problem(Schema):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    field: str = ""
