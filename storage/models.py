"""Pools defined once and present on hosts; volumes; images and uploads."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.reach import Reach
from hosts.models import Host
from ui.addresses import address

if TYPE_CHECKING:
    from storage.backends import Backend


def kind_choices() -> list[tuple[str, Any]]:
    """The kinds of pool, as the slices in storage/backends say."""
    from storage.backends import kind_choices as choices

    return choices()


class Pool(models.Model):
    """A pool of the cluster: defined once, the same on every host where it is present."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    kind = models.CharField(_("kind"), max_length=12, choices=kind_choices)
    libvirt_type = models.CharField(max_length=20, blank=True)  # dir, netfs, logical, ...
    source = models.JSONField(default=dict)  # {"host":, "path":, "version":}
    target_path = models.CharField(_("path on the hosts"), max_length=255, blank=True)
    uuid = models.UUIDField(null=True)
    is_adopted = models.BooleanField(default=False)  # found on a host, not defined by us
    is_shared = models.BooleanField(default=False)  # the same content on every host
    autostart = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    reach = Reach("storage.view", pool="pk")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return address("storage:pool", self.pk)

    @property
    def backend(self) -> "Backend | None":
        """The slice of its kind; None for a kind that Drover only shows."""
        from storage.backends import backend_of

        return backend_of(self.kind)

    @property
    def source_text(self) -> str:
        """Where its content comes from, as a person would write it."""
        return self.backend.source_text(self.source) if self.backend else str(self.source.get("text", ""))


class PoolOnHost(models.Model):
    """One cell of the matrix pool x host."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="presences")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="pools")
    wanted = models.BooleanField(default=True)  # chosen by a person, or found there
    uuid = models.UUIDField(null=True)
    is_active = models.BooleanField(default=False)
    autostart = models.BooleanField(default=False)
    capacity_bytes = models.BigIntegerField(null=True)
    allocation_bytes = models.BigIntegerField(null=True)
    available_bytes = models.BigIntegerField(null=True)
    identity = models.CharField(max_length=500, blank=True)  # canonical source + target; hosts that differ have another
    error = models.TextField(blank=True)
    failure = models.TextField(blank=True)  # why Drover's last change here failed; "" when it did not
    told_percent = models.PositiveSmallIntegerField(default=0)  # the level of storage.filling that people were told of
    seen_at = models.DateTimeField(null=True)
    missing_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pool", "host"], name="pool_once_a_host")]

    @property
    def is_usable(self) -> bool:
        return self.is_active and self.missing_since is None and not self.error


class Volume(models.Model):
    """A volume of a pool. `host` is set for pools that are not shared: the same path is another volume elsewhere."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="volumes")
    host = models.ForeignKey(Host, null=True, on_delete=models.CASCADE, related_name="volumes")
    name = models.CharField(max_length=255)
    path = models.CharField(max_length=1024)
    format = models.CharField(max_length=20, blank=True)
    capacity_bytes = models.BigIntegerField(default=0)
    allocation_bytes = models.BigIntegerField(default=0)
    backing_path = models.CharField(max_length=1024, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)
    missing_since = models.DateTimeField(null=True)

    reach = Reach("storage.view", pool="pool")

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(fields=["path"]),
            models.Index(fields=["backing_path"]),
            models.Index(fields=["pool", "name"]),
        ]
        constraints = [
            models.UniqueConstraint(fields=["pool", "host", "name"], name="volume_once_a_host"),
            models.UniqueConstraint(fields=["pool", "name"], name="volume_once", condition=models.Q(host=None)),
        ]

    def __str__(self) -> str:
        return self.name


class ImageState(models.TextChoices):
    IMPORTING = "importing", _("importing")
    READY = "ready", _("ready")
    FAILED = "failed", _("failed")


IMAGE_COLOUR = {ImageState.IMPORTING: "blue", ImageState.READY: "green", ImageState.FAILED: "red"}


class ImageOrigin(models.TextChoices):
    URL = "url", _("address")
    UPLOAD = "upload", _("upload")
    VOLUME = "volume", _("file in a pool")


class Image(models.Model):
    """One version of an operating system image (or an ISO): where it lies and what it is."""

    name = models.CharField(_("name"), max_length=64)  # family: "debian-12"
    version = models.CharField(_("version"), max_length=40)
    os_name = models.CharField(_("operating system"), max_length=100, blank=True)
    description = models.TextField(blank=True)
    is_iso = models.BooleanField(default=False)
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="images")
    host = models.ForeignKey(Host, null=True, on_delete=models.PROTECT)  # for a pool that is not shared
    volume_name = models.CharField(max_length=255)
    path = models.CharField(max_length=1024, blank=True)
    format = models.CharField(max_length=20, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    virtual_size_bytes = models.BigIntegerField(default=0)
    checksum = models.CharField(max_length=200, blank=True)  # "sha256:<hex>"
    source = models.CharField(max_length=2000, blank=True)  # URL, file name of an upload, path of a volume
    origin = models.CharField(max_length=10, choices=ImageOrigin.choices, default=ImageOrigin.VOLUME)
    expected_checksum = models.CharField(max_length=2000, blank=True)  # "sha256:<hex>" or the URL of a SHA256SUMS
    is_stored = models.BooleanField(default=False)  # Drover made the file, perhaps only a part of it: ours to remove
    state = models.CharField(max_length=10, choices=ImageState.choices, default=ImageState.IMPORTING)
    error = models.TextField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="images")
    created_at = models.DateTimeField(default=timezone.now)

    reach = Reach("storage.view", pool="pool")

    class Meta:
        ordering = ["name", "-created_at"]
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="image_version_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def get_absolute_url(self) -> str:
        return address("storage:image", self.pk)

    @property
    def colour(self) -> str:
        return IMAGE_COLOUR[ImageState(self.state)]

    @property
    def is_ready(self) -> bool:
        return self.state == ImageState.READY


class Upload(models.Model):
    """A file on its way from a browser into a volume of a host's pool. Chunks wait in Redis, never on our disk."""

    id = models.UUIDField(primary_key=True)
    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="upload")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    host = models.ForeignKey(Host, on_delete=models.CASCADE)
    file_name = models.CharField(max_length=255, blank=True)
    size_bytes = models.BigIntegerField()
    accepted_bytes = models.BigIntegerField(default=0)  # taken from the browser
    stored_bytes = models.BigIntegerField(default=0)  # written to the host: where an interrupted upload goes on
    created_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now)
    job = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+")

    reach = Reach("storage.images", owner="user")

    @property
    def percent(self) -> float:
        return 100.0 * self.stored_bytes / self.size_bytes if self.size_bytes else 0.0
