"""Who uses a file: asked before anything is deleted. Rooms above storage register how to find their users."""

from collections.abc import Callable, Iterable

from django.utils.translation import gettext as _

from hosts.models import Host
from storage.models import Image, ImageState, Pool, Volume

# paths, host (None: any), only those that write to it -> path -> names of users
Finder = Callable[[set[str], Host | None, bool], dict[str, list[str]]]
_finders: list[Finder] = []


def register(finder: Finder) -> None:
    """Add a way to find users of paths, from a room's apps.ready. Database only: pages ask it too."""
    if finder not in _finders:
        _finders.append(finder)


def users_of_paths(paths: set[str], host: Host | None, *, is_written: bool = False) -> dict[str, list[str]]:
    """Names of what uses each path itself, or writes to it; paths without users are left out."""
    found: dict[str, list[str]] = {}
    for finder in _finders:
        for path, names in finder(paths, host, is_written).items():
            found.setdefault(path, []).extend(name for name in names if name not in found.get(path, []))
    return found


def users_of(volumes: Iterable[Volume]) -> dict[int, list[str]]:
    """Volume's primary key -> names of VMs, volumes that stand on it, and images. Four queries for any number."""
    rows = list(volumes)
    found: dict[int, list[str]] = {row.pk: [] for row in rows}
    for host_id in {row.host_id for row in rows}:
        here = [row for row in rows if row.host_id == host_id]
        host = here[0].host if host_id else None
        by_path = users_of_paths({row.path for row in here}, host)
        standing = _standing_on({row.path for row in here}, host)
        for row in here:
            found[row.pk] += by_path.get(row.path, []) + standing.get(row.path, [])
    for image in Image.objects.filter(pool__in={row.pool_id for row in rows}).exclude(state=ImageState.FAILED):
        for row in rows:
            if (image.pool_id, image.volume_name) == (row.pool_id, row.name) and image.host_id in {None, row.host_id}:
                found[row.pk].append(_("image %(name)s") % {"name": image})
    return found


def _standing_on(paths: set[str], host: Host | None) -> dict[str, list[str]]:
    rows = Volume.objects.filter(backing_path__in=paths, missing_since=None)
    if host is not None:
        rows = rows.filter(host__in=[host]) | rows.filter(host=None)
    found: dict[str, list[str]] = {}
    for row in rows.select_related("pool"):
        found.setdefault(row.backing_path, []).append(f"{row.pool.name}/{row.name}")
    return found


def users_of_image(image: Image) -> list[str]:
    """Names of VMs and volumes that stand on an image or have it in a drive."""
    if not image.path:
        return []
    direct = users_of_paths({image.path}, image.host).get(image.path, [])
    rows = Volume.objects.filter(backing_path=image.path, missing_since=None).select_related("pool")
    rows = rows.only("name", "path", "pool__name")
    if image.host is not None:
        rows = rows.filter(host=image.host)
    overlays = list(rows)
    by_path = users_of_paths({row.path for row in overlays}, image.host) if overlays else {}
    names = list(direct)
    for row in overlays:
        names += by_path.get(row.path) or [f"{row.pool.name}/{row.name}"]
    return list(dict.fromkeys(names))


def users_of_pool(pool: Pool, hosts: Iterable[Host] | None = None) -> list[str]:
    """Names of VMs and images that need the pool (on these hosts, or anywhere)."""
    rows = Volume.objects.filter(pool=pool, missing_since=None)
    images = pool.images.exclude(state=ImageState.FAILED)
    wanted = None if hosts is None else list(hosts)
    names: list[str] = []
    if wanted is None:
        names += [_("image %(name)s") % {"name": image} for image in images]
        names += _flat(users_of_paths(set(rows.values_list("path", flat=True)), None))
    else:
        names += [_("image %(name)s") % {"name": image} for image in images.filter(host__in=wanted)]
        for host in wanted:
            paths = rows.filter(host=host) | rows.filter(host=None)
            names += _flat(users_of_paths(set(paths.values_list("path", flat=True)), host))
    return list(dict.fromkeys(names))


def _flat(found: dict[str, list[str]]) -> list[str]:
    return [name for names in found.values() for name in names]
