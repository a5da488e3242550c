"""Which images there are to choose from, and where they can be used. Database only."""

from django.db.models import Q, QuerySet

from hosts.models import Host
from storage.models import Image, ImageState, Volume
from storage.volumes import hosts_with_pool


def ready(*, is_iso: bool | None = None) -> QuerySet[Image]:
    """Images that can be used now, newest version of a family first."""
    rows = Image.objects.filter(state=ImageState.READY).select_related("pool", "host")
    return rows if is_iso is None else rows.filter(is_iso=is_iso)


def latest(name: str) -> Image | None:
    """The newest ready version of a family."""
    return ready().filter(name=name).order_by("-created_at", "-pk").first()


def latest_of_each() -> dict[str, Image]:
    """Family name -> its newest ready version."""
    found: dict[str, Image] = {}
    for image in ready().order_by("name", "-created_at", "-pk"):
        found.setdefault(image.name, image)
    return found


def importable() -> QuerySet[Volume]:
    """Volumes that an image can be made of."""
    return Volume.objects.filter(missing_since=None, backing_path="", format__in=["qcow2", "raw"])


def hosts_with_image(image: Image) -> QuerySet[Host]:
    """Hosts where the image's pool is usable; only its own host if the pool is not shared."""
    hosts = hosts_with_pool(image.pool)
    return hosts.filter(Q(pk=image.host_id)) if image.host_id else hosts
