"""Virtual machines: identity, owner, last observation; where each was seen; definitions; console tickets."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.models import Group
from access.reach import Reach
from hosts.models import Host
from storage.models import Image
from vms.states import ALIVE, COLOUR, VmState


class Tag(models.Model):
    name = models.CharField(max_length=40, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


def shown_state(observed: str, missing_since: datetime | None, host: Host | None) -> str:
    """The state people see: unknown while its host does not answer or no host reports the VM any more (law 4)."""
    if observed in {VmState.CREATING, VmState.UNKNOWN}:
        return observed
    if missing_since is not None or host is None or host.is_unknown:
        return VmState.UNKNOWN
    return observed


class Vm(models.Model):
    """A VM of the cluster. UUID is identity; name, host and state are what was last observed (law 5 and 6)."""

    uuid = models.UUIDField(unique=True)
    name = models.CharField(_("name"), max_length=255)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="vms")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.SET_NULL, related_name="vms")
    tags = models.ManyToManyField(Tag, related_name="vms", blank=True)
    title = models.CharField(_("title"), max_length=200, blank=True)
    description = models.TextField(_("description"), blank=True)
    image = models.ForeignKey(Image, null=True, on_delete=models.SET_NULL, related_name="vms")
    is_adopted = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    host = models.ForeignKey(Host, null=True, on_delete=models.SET_NULL, related_name="vms", db_index=False)
    observed_state = models.CharField(max_length=13, choices=VmState.choices, default=VmState.UNKNOWN)
    state_since = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True)  # when a host's answer last changed this row; its age is host.seen_at
    missing_since = models.DateTimeField(null=True)
    is_duplicate = models.BooleanField(default=False)  # alive on more than one host: alarm

    memory_bytes = models.BigIntegerField(default=0)
    vcpus = models.PositiveIntegerField(default=0)
    autostart = models.BooleanField(default=False)
    is_persistent = models.BooleanField(default=True)
    addresses = models.JSONField(default=list)  # ["10.47.0.127", "fd00::1"], best first
    address = models.CharField(max_length=64, blank=True)  # the first of them, for search and sort
    started_at = models.DateTimeField(null=True)
    cpu_percent = models.FloatField(null=True)  # of all its vCPUs
    memory_used_bytes = models.BigIntegerField(null=True)  # by the guest, from the balloon
    cpu_history = models.JSONField(default=list)  # last hour, one figure a minute, for the sparkline

    definition = models.TextField(blank=True)  # persistent (inactive) XML
    live_definition = models.TextField(blank=True)  # XML of the running domain, "" when off
    definition_at = models.DateTimeField(null=True)
    read_from = models.ForeignKey(Host, null=True, on_delete=models.SET_NULL, related_name="+")  # the definitions above
    hardware = models.JSONField(default=dict)  # parsed summary of the running (else persistent) definition

    first_boot = models.JSONField(default=dict)  # how it was made; no secret
    job = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+")  # in progress

    reach = Reach("vms.view", owner="owner", vm="pk", group="group")

    class Meta:
        ordering = ["name", "id"]
        indexes = [
            models.Index(fields=["host", "name"]),
            # filters, searches, sorts and counts read this instead of the wide rows; only the last changes often
            models.Index(
                fields=[
                    "name",
                    "id",
                    "observed_state",
                    "missing_since",
                    "host",
                    "owner",
                    "image",
                    "address",
                    "title",
                    "memory_bytes",
                    "vcpus",
                    "created_at",
                    "state_since",
                    "cpu_percent",
                ],
                name="vm_list",
            ),
            # counts by state, and the crashed ones
            models.Index(fields=["observed_state", "missing_since", "host", "state_since", "vcpus"], name="vm_states"),
            # the few that the overview asks for among thousands
            models.Index(fields=["name"], name="vm_duplicates", condition=models.Q(is_duplicate=True)),
            models.Index(fields=["missing_since"], name="vm_missing", condition=models.Q(missing_since__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("vms:detail", args=[self.uuid])

    @property
    def state(self) -> str:
        """What people see: unknown while its host does not answer or nobody has reported it for long."""
        return shown_state(self.observed_state, self.missing_since, self.host)

    def get_state_display(self) -> str:
        return str(VmState(self.state).label)

    @property
    def colour(self) -> str:
        return COLOUR[VmState(self.state)]

    @property
    def is_alive(self) -> bool:
        return self.state in ALIVE

    @property
    def sparkline(self) -> list[float | None]:
        """The last hour of CPU, thinned out for a row of a list."""
        return list(self.cpu_history[::2])

    @property
    def disks(self) -> list[dict[str, Any]]:
        return list(self.hardware.get("disks", []))

    @property
    def nics(self) -> list[dict[str, Any]]:
        return list(self.hardware.get("nics", []))


class Presence(models.Model):
    """A VM as one host reports it. Two alive presences of one VM are the alarm of law 4."""

    vm = models.ForeignKey(Vm, on_delete=models.CASCADE, related_name="presences")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="presences")
    observed_state = models.CharField(max_length=13, choices=VmState.choices)
    is_in_transit = models.BooleanField(default=False)  # paused as one end of a migration: not alive for law 4
    is_persistent = models.BooleanField(default=True)
    seen_at = models.DateTimeField(default=timezone.now)  # since when the host says so
    missing_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["vm", "host"], name="vm_once_a_host")]


class MacAddress(models.Model):
    """Every MAC in use or promised, unique in the cluster."""

    mac = models.CharField(max_length=17, unique=True)
    vm = models.ForeignKey(Vm, on_delete=models.CASCADE, related_name="macs")


class DiskFile(models.Model):
    """A file that a VM's definitions name: as a disk, in a drive, or below a disk. Its users are found by it."""

    vm = models.ForeignKey(Vm, on_delete=models.CASCADE, related_name="disk_files")
    path = models.CharField(max_length=1024, db_index=True)
    is_written = models.BooleanField(default=True)  # not what is below a disk or read only

    class Meta:
        constraints = [models.UniqueConstraint(fields=["vm", "path"], name="disk_file_once_a_vm")]


class DefinitionVersion(models.Model):
    """A persistent definition as it was from a moment on."""

    vm = models.ForeignKey(Vm, on_delete=models.CASCADE, related_name="definitions")
    at = models.DateTimeField(default=timezone.now)
    xml = models.TextField()
    cause = models.CharField(max_length=200, blank=True)  # "adopted", "job 17", "changed on the host"

    class Meta:
        ordering = ["-id"]


class Snapshot(models.Model):
    """A state of a VM to go back to, kept inside its disks. As its host says, but for who made it."""

    vm = models.ForeignKey(Vm, on_delete=models.CASCADE, related_name="snapshots")
    name = models.CharField(_("name"), max_length=255)
    description = models.TextField(_("description"), blank=True)
    taken_at = models.DateTimeField()
    has_memory = models.BooleanField(default=False)  # of a running VM, which runs on from there
    parent = models.CharField(max_length=255, blank=True)
    is_current = models.BooleanField(default=False)  # the VM goes on from this one
    vcpus = models.PositiveIntegerField(default=0)  # which the VM had, and has again afterwards
    memory_bytes = models.BigIntegerField(default=0)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    reach = Reach("vms.view", owner="vm__owner", vm="vm", group="vm__group")

    class Meta:
        ordering = ["taken_at", "pk"]
        constraints = [models.UniqueConstraint(fields=["vm", "name"], name="snapshot_once_a_vm")]

    def __str__(self) -> str:
        return self.name


class ScreenLink(models.Model):
    """A link to look at a VM's screen without a login: shown once, kept only as a SHA-256 digest."""

    vm = models.ForeignKey(Vm, on_delete=models.CASCADE, related_name="screen_links")
    digest = models.CharField(max_length=64, unique=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    made_at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(_("valid until"))
    seen_at = models.DateTimeField(null=True)  # when somebody last opened it

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(_("view-only link to %(vm)s")) % {"vm": self.vm.name}


class ConsoleKind(models.TextChoices):
    VNC = "vnc", _("screen")
    SERIAL = "serial", _("serial")


class ConsoleSession(models.Model):
    """A one-time ticket for a console, and after its use the audit of that session."""

    vm = models.ForeignKey(Vm, on_delete=models.CASCADE, related_name="console_sessions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE)  # None: by a link
    link = models.ForeignKey(ScreenLink, null=True, on_delete=models.SET_NULL, related_name="+")
    session_digest = models.CharField(max_length=64)  # of the web session's key
    ticket_digest = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=6, choices=ConsoleKind.choices)
    view_only = models.BooleanField(default=False)
    address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)  # when its console process last said that it is open
    closed_at = models.DateTimeField(null=True)
    host_name = models.CharField(max_length=64, blank=True)
    bytes_to_guest = models.BigIntegerField(default=0)
    bytes_from_guest = models.BigIntegerField(default=0)

    reach = Reach("jobs.all", owner="user", vm="vm", group="vm__group")

    class Meta:
        ordering = ["-id"]
        # the few that are open, which the clock asks for, among years of those that are over
        indexes = [models.Index(fields=["used_at"], name="console_open", condition=models.Q(closed_at=None))]
