"""Volumes for the operations of every room: overlays, blank disks, seeds. Each call says the same in the database."""

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from hosts.models import Host
from jobs.errors import Failed
from jobs.run import Run
from storage import sync
from storage.models import Image, Pool, Volume
from ui import live
from virt import names, pools, streams
from virt.connection import connect
from virt.errors import AlreadyExists, NotFound, VirtError, WrongState
from virt.xml.volume import VolumeSpec, VolumeSummary

SMALL_FILE_BYTES = 64 * 1024 * 1024


def usable_pools(host: Host) -> QuerySet[Pool]:
    """Pools that are active on the host now, as last seen."""
    return Pool.objects.filter(
        presences__host=host, presences__is_active=True, presences__missing_since=None, presences__error=""
    ).distinct()


def hosts_with_pool(pool: Pool) -> QuerySet[Host]:
    """Hosts where the pool is active, as last seen."""
    return Host.objects.filter(
        pools__pool=pool, pools__is_active=True, pools__missing_since=None, pools__error=""
    ).distinct()


def look_again(pool: Pool, host: Host) -> None:
    """Let the host look what lies in the pool, and store it. While a copy is being made there, what it knew before."""
    try:
        sync.refresh_pool(pool, host, rescan=True)
    except WrongState:
        sync.refresh_pool(pool, host)


def locate(host: Host, path: str) -> Volume | None:
    """The row of the volume that lies at this path of the host."""
    rows = Volume.objects.filter(path=path, missing_since=None).select_related("pool", "host")
    own = rows.filter(host=host).first()
    return own or rows.filter(host=None, pool__presences__host=host).first()


def create_overlay(run: Run, pool: Pool, host: Host, image: Image, name: str, capacity_bytes: int) -> str:
    """A copy-on-write disk on an image: path of the new volume. Never smaller than the image.

    Raises AlreadyExists for a name that is taken, unless it is this same overlay (a repeated run), NoSpace, NotFound.
    """
    capacity_bytes = max(capacity_bytes, image.virtual_size_bytes)
    spec = VolumeSpec(name, capacity_bytes, backing_path=image.path, backing_format=image.format)
    return create(run, pool, host, spec)


def create_blank(run: Run, pool: Pool, host: Host, name: str, capacity_bytes: int, format: str = "qcow2") -> str:
    """An empty disk: path of the new volume. Raises as `create_overlay`."""
    return create(run, pool, host, VolumeSpec(name, capacity_bytes, format=format))


def create(run: Run, pool: Pool, host: Host, spec: VolumeSpec) -> str:
    """Make a volume by one call. What an interrupted run of the same job made is taken as it is."""
    _check(spec)
    words = ["virsh", "-c", host.target.shown_uri, "vol-create-as", pool.name, spec.name, str(spec.capacity_bytes)]
    words += ["--format", spec.format]
    if spec.allocation_bytes:
        words += ["--allocation", str(spec.allocation_bytes)]
    if spec.backing_path:
        words += ["--backing-vol", spec.backing_path, "--backing-vol-format", spec.backing_format]
    run.command(*words)
    with connect(host.target) as conn:
        try:
            path = pools.create_volume(conn, pool.name, spec)
        except AlreadyExists:
            there = pools.find_volume(conn, pool.name, spec.name) if run.is_repeat else None
            if there is None or not _is_same(there, spec):
                raise
            path = there.path
    note(
        pool,
        host,
        VolumeSummary(
            spec.name,
            path,
            "file",
            path,
            spec.format,
            spec.capacity_bytes,
            spec.allocation_bytes,
            backing_path=spec.backing_path,
            backing_format=spec.backing_format,
        ),
    )
    return path


def _check(spec: VolumeSpec) -> None:
    """Refuse a name or size that libvirt or the file system would not bear."""
    try:
        names.check_volume_name(spec.name)
        if not spec.is_file:
            names.check_disk_bytes(spec.capacity_bytes)
    except names.Refused as refused:
        raise Failed(_(refused.template) % refused.params) from refused


def _is_same(there: VolumeSummary, spec: VolumeSpec) -> bool:
    return (there.format, there.backing_path) == (spec.format, spec.backing_path)


def make_room(pool: Pool, host: Host, name: str, size_bytes: int) -> str:
    """An empty raw volume of exactly this size for a file that will be stored as it is; its path."""
    spec = VolumeSpec(name, size_bytes, format="raw", is_file=True)
    _check(spec)
    with connect(host.target) as conn:
        return pools.create_volume(conn, pool.name, spec)


def upload_bytes(pool: Pool, host: Host, name: str, data: bytes, *, replace: bool = False) -> str:
    """Store a small file (a seed) in a pool; its path. A half-stored one is removed again.

    Raises AlreadyExists for a name that is taken; with `replace` what was there goes.
    """
    if len(data) > SMALL_FILE_BYTES:
        raise Failed(_("This file is too large to be stored in one piece."))
    with connect(host.target) as conn:
        if replace:
            pools.delete_volume(conn, pool.name, name)
        path = make_room(pool, host, name, len(data))
        try:
            streams.upload_bytes(conn, pool.name, name, data)
        except VirtError:
            pools.delete_volume(conn, pool.name, name)
            raise
    note(pool, host, VolumeSummary(name, path, "file", path, "raw", len(data), len(data)))
    return path


def resize_volume(pool: Pool, host: Host, name: str, capacity_bytes: int) -> None:
    """Grow a volume nobody has open. Raises NotFound, NoSpace; Failed if it would become smaller."""
    _check(VolumeSpec(name, capacity_bytes))
    with connect(host.target) as conn:
        there = pools.find_volume(conn, pool.name, name)
        if there is None:
            raise NotFound(_("There is no volume “%(name)s” in this pool (any more).") % {"name": name})
        if capacity_bytes < there.capacity_bytes:
            raise Failed(_("A volume can only grow: making it smaller would cut off data."))
        if capacity_bytes > there.capacity_bytes:
            pools.resize_volume(conn, pool.name, name, capacity_bytes)
    rows_of(pool, host).filter(name=name).update(capacity_bytes=capacity_bytes, seen_at=timezone.now())


def delete_volume(pool: Pool, host: Host, name: str) -> bool:
    """Delete a volume for good, whoever uses it. False if it was not there."""
    with connect(host.target) as conn:
        was_there = pools.delete_volume(conn, pool.name, name)
    rows_of(pool, host).filter(name=name).delete()
    return was_there


def volume_exists(pool: Pool, host: Host, name: str) -> bool:
    """Whether the host has this volume. Asks it."""
    with connect(host.target) as conn:
        return pools.find_volume(conn, pool.name, name) is not None


def rows_of(pool: Pool, host: Host) -> QuerySet[Volume]:
    """The rows of a pool's volumes as this host sees them."""
    return Volume.objects.filter(pool=pool, host=None if pool.is_shared else host)


def note(pool: Pool, host: Host, seen: VolumeSummary) -> Volume:
    """Write what is known of a volume that was just made, so that pages need not wait for the watch."""
    values = {
        "path": seen.path,
        "format": seen.format,
        "capacity_bytes": seen.capacity_bytes,
        "allocation_bytes": seen.allocation_bytes,
        "backing_path": seen.backing_path,
        "seen_at": timezone.now(),
        "missing_since": None,
    }
    row, _made = Volume.objects.update_or_create(
        pool=pool, host=None if pool.is_shared else host, name=seen.name, defaults=values
    )
    live.publish(f"pool.{pool.pk}", "pools")
    return row
