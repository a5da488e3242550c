"""What the API gives and takes of VMs. Sizes in bytes, times in ISO 8601."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from api.schemas import In
from jobs.discretion import sees_all
from vms.hardware import without_places


class VmOut(Schema):
    uuid: UUID
    name: str
    state: str
    host_id: int | None
    owner: str | None = None
    group_id: int | None
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
    def resolve_host_id(vm: Any, context: Any) -> int | None:
        """Only for who sees hosts."""
        return vm.host_id if sees_all(context["request"].user) else None

    @staticmethod
    def resolve_owner(vm: Any) -> str | None:
        return vm.owner.username if vm.owner else None

    @staticmethod
    def resolve_tags(vm: Any) -> list[str]:
        return [tag.name for tag in vm.tags.all()]


class VmDetailOut(VmOut):
    title: str
    description: str
    image_id: int | None
    created_at: datetime
    started_at: datetime | None
    seen_at: datetime | None
    hardware: dict[str, Any]

    @staticmethod
    def resolve_hardware(vm: Any, context: Any) -> dict[str, Any]:
        """Where its disks lie and what it is connected to is only for who sees hosts."""
        return dict(vm.hardware) if sees_all(context["request"].user) else without_places(vm.hardware)


class NicIn(In):
    network: str = ""
    bridge: str = ""
    mac: str = ""
    address: str = Field("", description='static: "10.0.0.5/24"; empty: DHCP')
    gateway: str = ""
    dns: list[str] = []


class FirstBootIn(In):
    enabled: bool = True
    user: str = ""
    ssh_keys: list[str] = []
    password_hash: str = Field("", description="crypt(3) format; never stored by Drover")
    allow_password_ssh: bool = False
    hostname: str = ""
    domain: str = ""
    packages: list[str] = []
    user_data: str = ""


class VmIn(In):
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


class VmChangeIn(In):
    title: str = ""
    description: str = ""
    tags: list[str] = Field(default=[], description="all of them")
    owner: int | str | None = Field(None, description="a person's number or name; null: nobody")
    group: int | None = Field(None, description="its number; null: none")


class RenameIn(In):
    name: str


class ResizeIn(In):
    vcpus: int | None = None
    max_vcpus: int | None = None
    memory_bytes: int | None = None


class DiskResizeIn(In):
    size_bytes: int


class ActionIn(In):
    timeout_s: int | None = Field(None, description="shutdown: how long to wait")
    host: int | None = Field(None, description="force-off: on which, of a VM that runs on two")
    silent_hosts: list[int] | None = Field(
        None, description="start: hosts that can't be asked, where it surely does not run"
    )


class MigrateIn(In):
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
    address: str = Field("", max_length=255, description="of the destination on another network, for the traffic")


class DestinationOut(Schema):
    host_id: int
    name: str
    is_possible: bool
    blockers: list[str]
    warnings: list[str]
    no_tls: str = Field(description="why it can't go there encrypted, as far as it is known")


class DeleteIn(In):
    disks: list[str] = Field(default=[], description="paths of the disks to remove, named one by one")
