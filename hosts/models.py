"""KVM hosts, how they are reached and what was last seen of them; networks and where they are present."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from access.reach import Reach
from hosts.states import COLOUR, HostState, SetupStep, Transport
from ui.addresses import address
from virt.target import HostKey, Target

STALE_AFTER = timedelta(seconds=15)
RENEW_BEFORE = timedelta(days=30)  # that a certificate ends is said so long before


class Host(models.Model):
    """identity | how to reach it | what people want (maintenance) | what was observed, and when."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    transport = models.CharField(max_length=5, choices=Transport.choices, default=Transport.SSH)
    address = models.CharField(_("address"), max_length=255, blank=True)
    port = models.PositiveIntegerField(default=0)
    username = models.CharField(max_length=64, default="root")
    path = models.CharField(max_length=255, blank=True)  # only for simulated hosts
    host_keys = models.JSONField(default=list)  # pinned: [["ssh-ed25519", "<base64>"], ...]
    migration_address = models.CharField(max_length=255, blank=True)  # another network for migration traffic

    is_managed = models.BooleanField(default=True)  # False while it is being added: nothing looks after it yet
    setup_step = models.CharField(max_length=5, choices=SetupStep.choices, blank=True)
    offered_keys = models.JSONField(default=list)  # as host_keys, but only seen, not confirmed
    offered_at = models.DateTimeField(null=True)
    public_key = models.CharField(max_length=200, blank=True)  # Drover's, as the host must accept it
    preflight = models.JSONField(default=list)  # what hosts.preflight found, one dict a check
    preflight_at = models.DateTimeField(null=True)

    maintenance = models.BooleanField(default=False)
    maintenance_note = models.CharField(max_length=200, blank=True)
    added_at = models.DateTimeField(default=timezone.now)

    observed_state = models.CharField(max_length=12, choices=HostState.choices, default=HostState.NEW)
    state_since = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    last_error_technical = models.TextField(blank=True)

    uuid = models.UUIDField(null=True)  # of the machine, as libvirt says it
    hostname = models.CharField(max_length=255, blank=True)
    arch = models.CharField(max_length=20, blank=True)
    cpu_model = models.CharField(max_length=100, blank=True)
    cpu_vendor = models.CharField(max_length=40, blank=True)
    cpus = models.PositiveIntegerField(default=0)
    cpu_mhz = models.PositiveIntegerField(default=0)
    topology = models.JSONField(default=dict)  # {"sockets": 1, "cores": 8, "threads": 2, "numa_nodes": 1}
    cpu_xml = models.TextField(blank=True)  # for the common CPU model
    domain_types = models.JSONField(default=list)  # ["kvm", "qemu"]
    machine_types = models.JSONField(default=list)
    has_kvm = models.BooleanField(default=False)  # /dev/kvm and vmx or svm: what virt-host-validate asks
    memory_bytes = models.BigIntegerField(default=0)
    libvirt_version = models.CharField(max_length=20, blank=True)
    qemu_version = models.CharField(max_length=20, blank=True)
    bridges = models.JSONField(default=list)  # names
    os_name = models.CharField(max_length=100, blank=True)
    boot_at = models.DateTimeField(null=True)
    clock_offset_s = models.FloatField(null=True)  # host's clock minus ours
    trusted_hosts = models.JSONField(default=list)  # primary keys of hosts it can log in to, for migration
    certificate_until = models.DateTimeField(null=True)  # for encrypted migration, what QEMU there has; None: nothing
    facts_at = models.DateTimeField(null=True)  # when the slow facts above were read

    memory_free_bytes = models.BigIntegerField(null=True)
    cpu_percent = models.FloatField(null=True)
    load1 = models.FloatField(null=True)

    watcher = models.CharField(max_length=100, blank=True)  # which watch process looks after it
    watcher_until = models.DateTimeField(null=True)

    reach = Reach("hosts.view")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return address("hosts:detail", self.pk)

    @property
    def target(self) -> Target:
        return Target(
            key=f"host-{self.pk}",
            transport=self.transport,
            address=self.address,
            port=self.port,
            username=self.username,
            path=self.path,
            ssh_dir=settings.SSH_DIR,
            host_keys=tuple((kind, blob) for kind, blob in self.host_keys),
        )

    @property
    def pinned_keys(self) -> list[HostKey]:
        return [HostKey(kind, blob) for kind, blob in self.host_keys]

    @property
    def offered(self) -> list[HostKey]:
        return [HostKey(kind, blob) for kind, blob in self.offered_keys]

    def offered_as(self, fingerprints: set[str]) -> list[list[str]]:
        """The offered keys that a person compared by these fingerprints; none if one of them is not offered."""
        keys = [[key.kind, key.blob] for key in self.offered if key.fingerprint in fingerprints]
        return keys if len(keys) == len(fingerprints) else []

    @property
    def key_command(self) -> str:
        """What to run on the host so that it accepts Drover's key."""
        return f"mkdir -p -m 700 ~/.ssh && echo '{self.public_key}' >> ~/.ssh/authorized_keys"

    @property
    def shows_other_keys(self) -> bool:
        """Whether the host showed keys, when it was last asked, of which none is pinned."""
        pinned = {tuple(key) for key in self.host_keys}
        return bool(self.offered_keys) and not any(tuple(key) in pinned for key in self.offered_keys)

    @property
    def has_ssh(self) -> bool:
        return self.transport in {Transport.SSH, Transport.LOCAL}

    @property
    def migration_uri(self) -> str:
        """Where migration traffic goes if that is another network than the host's address, else ""."""
        address = f"[{self.migration_address}]" if ":" in self.migration_address else self.migration_address
        return f"tcp://{address}" if address else ""

    @property
    def certificate_is_valid(self) -> bool:
        return self.certificate_until is not None and self.certificate_until > timezone.now()

    @property
    def certificate_ends_soon(self) -> bool:
        """Whether its certificate waits to be renewed, or has ended already."""
        return self.certificate_until is not None and self.certificate_until < timezone.now() + RENEW_BEFORE

    def trusts(self, other: "Host") -> bool:
        """Whether this host can log in to the other one, as it was last tried (hosts.trust, hosts.preflight)."""
        return not other.has_ssh or other.pk in self.trusted_hosts

    @property
    def state(self) -> str:
        return self.observed_state

    def get_state_display(self) -> str:
        return str(HostState(self.observed_state).label)

    @property
    def colour(self) -> str:
        return "azure" if self.maintenance and self.is_up else COLOUR[HostState(self.observed_state)]

    @property
    def is_up(self) -> bool:
        return self.observed_state == HostState.UP

    @property
    def is_unknown(self) -> bool:
        """Whether VMs may be running there without our knowing (law 4)."""
        return self.observed_state in {HostState.NEW, HostState.UNREACHABLE, HostState.REFUSED}

    @property
    def domain_type(self) -> str:
        return "test" if self.transport == Transport.TEST or self.path else "kvm" if self.has_kvm else "qemu"

    @property
    def memory_used_bytes(self) -> int | None:
        if self.memory_free_bytes is None or not self.memory_bytes:
            return None
        return self.memory_bytes - self.memory_free_bytes

    @property
    def memory_percent(self) -> float | None:
        used = self.memory_used_bytes
        return None if used is None else 100.0 * used / self.memory_bytes


class NetworkMode(models.TextChoices):
    NAT = "nat", _("NAT")
    ROUTE = "route", _("routed")
    ISOLATED = "isolated", _("isolated")
    BRIDGE = "bridge", _("bridged")
    OTHER = "other", _("other")


class Network(models.Model):
    """A network by name, as wanted on the hosts where it is present. Adopted ones have no spec of ours."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    mode = models.CharField(_("mode"), max_length=10, choices=NetworkMode.choices)
    spec = models.JSONField(default=dict)  # bridge, cidr, dhcp_start, dhcp_end, domain; {} if adopted
    created_at = models.DateTimeField(default=timezone.now)

    reach = Reach("hosts.view")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return address("hosts:network", self.pk)

    @property
    def is_ours(self) -> bool:
        """Defined through Drover, so that what it shall be is known; else it was found on hosts."""
        return bool(self.spec)

    @property
    def summary(self) -> str:
        """Its addresses, or the bridge it is; "" for one that was found and is described by its hosts."""
        return str(self.spec.get("cidr") or self.spec.get("bridge") or "")


class NetworkOnHost(models.Model):
    """What one host holds under a network's name."""

    network = models.ForeignKey(Network, on_delete=models.CASCADE, related_name="presences")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="networks")
    uuid = models.UUIDField()
    is_active = models.BooleanField(default=False)
    autostart = models.BooleanField(default=False)
    bridge = models.CharField(max_length=20, blank=True)
    xml = models.TextField(blank=True)
    identity = models.CharField(max_length=255, blank=True)  # canonical text; hosts that differ have another
    leases = models.JSONField(default=list)  # [{"mac":, "ip":, "hostname":}]
    seen_at = models.DateTimeField(default=timezone.now)
    missing_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["network", "host"], name="network_once_a_host")]

    @property
    def colour(self) -> str:
        return "red" if self.missing_since else "green" if self.is_active else "secondary"

    def get_state_display(self) -> str:
        if self.missing_since:
            return gettext("missing")
        return gettext("active") if self.is_active else gettext("stopped")


class ClusterCpu(models.Model):
    """The CPU that every host of one kind can give a VM: libvirt's baseline over them (hosts.cpu)."""

    arch = models.CharField(max_length=20)
    domain_type = models.CharField(max_length=10)  # kvm or qemu: VMs do not move between the two
    model = models.CharField(max_length=100, blank=True)
    vendor = models.CharField(max_length=40, blank=True)
    features = models.JSONField(default=list)  # [["require", "x2apic"], ["disable", "svm"]]
    xml = models.TextField(blank=True)
    inputs_digest = models.CharField(max_length=64, blank=True)  # of the hosts' CPUs it was computed from
    hosts = models.JSONField(default=dict)  # {"<host pk>": {"model": "EPYC", "unused": ["avx512f", ...]}}
    error = models.TextField(blank=True)
    computed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["arch", "domain_type"]
        constraints = [models.UniqueConstraint(fields=["arch", "domain_type"], name="cluster_cpu_once_a_kind")]

    def __str__(self) -> str:
        return f"{self.model} ({self.domain_type})"
