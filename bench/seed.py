"""A large cluster in the database: 10,000 VMs on 500 hosts of which 50 are dead, as `watch` would have left it."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from django.db import transaction
from django.utils import timezone

from access.models import Role, User
from bench import definitions
from bench.seed_jobs import add_jobs
from bench.seed_storage import add_images, add_pools, add_volumes
from hosts.models import Host, Network, NetworkMode, NetworkOnHost
from hosts.states import HostState
from storage.models import Image, Pool
from virt.xml import summary
from vms import hardware
from vms.models import DefinitionVersion, DiskFile, MacAddress, Presence, Tag, Vm
from vms.states import ALIVE, VmState

GIB = 1024**3
TAGS = ("web", "db", "cache", "build", "test", "staging", "prod", "lab", "course", "ceph", "mail", "dns", "proxy", "ci")
ROLES = ("web", "db", "app", "build", "cache", "mail", "lab", "course", "ci", "test")
STATES = [VmState.RUNNING] * 70 + [VmState.OFF] * 25 + [VmState.PAUSED] * 3 + [VmState.CRASHED, VmState.SHUTTING_DOWN]
BATCH = 500


@dataclass
class Cluster:
    """What the seed made, for those who ask for its pages."""

    random: Random = field(default_factory=lambda: Random(2026))
    now: datetime = field(default_factory=timezone.now)
    users: list[User] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)

    def ago(self, seconds: float) -> datetime:
        return self.now - timedelta(seconds=seconds)

    @classmethod
    def found(cls) -> "Cluster":
        """What an earlier run of the bench left in the database."""
        return cls(
            users=list(User.objects.exclude(username="ada").order_by("pk")),
            hosts=list(Host.objects.order_by("pk")),
            pools=list(Pool.objects.order_by("pk")),
            images=list(Image.objects.order_by("pk")),
        )


def seed(hosts: int = 500, dead: int = 50, vms: int = 10_000, jobs: int = 20_000) -> Cluster:
    """Fill an empty database. The same rows each time, but for the clock."""
    made = Cluster()
    with transaction.atomic():
        _add_people(made)
        _add_hosts(made, hosts, dead)
        _add_networks(made)
        add_pools(made)
        add_images(made)
        made.tags = Tag.objects.bulk_create(Tag(name=name) for name in TAGS)
        add_jobs(made, jobs)
    for first in range(0, vms, BATCH):
        with transaction.atomic():
            _add_vms(made, range(first, min(vms, first + BATCH)), vms)
    return made


def _add_people(made: Cluster) -> None:
    User.objects.create_superuser("ada", password=None, role=Role.ADMINISTRATOR)
    for number in range(60):
        made.users.append(User.objects.create_user(f"user{number:02}", password=None, role=Role.USER))


def _add_hosts(made: Cluster, count: int, dead: int) -> None:
    rows = []
    for number in range(count):
        is_dead = number % (count // dead) == 3 if dead else False
        memory = made.random.choice((128, 256, 512)) * GIB
        rows.append(
            Host(
                name=f"kvm-{number:03}",
                address=f"10.{20 + number // 250}.0.{number % 250 + 1}",
                observed_state=HostState.UNREACHABLE if is_dead else HostState.UP,
                last_error="The host does not answer." if is_dead else "",
                state_since=made.ago(3000 if is_dead else 400_000),
                seen_at=made.ago(3000 if is_dead else made.random.uniform(0, 10)),
                uuid=uuid.UUID(int=made.random.getrandbits(128), version=4),
                hostname=f"kvm-{number:03}.example.org",
                maintenance=number % 97 == 0,
                memory_bytes=memory,
                memory_free_bytes=int(memory * made.random.uniform(0.1, 0.7)),
                cpu_percent=None if is_dead else round(made.random.uniform(2, 90), 1),
                load1=round(made.random.uniform(0, 40), 2),
                **_FACTS,
            )
        )
    made.hosts = Host.objects.bulk_create(rows, batch_size=100)


_FACTS: dict[str, Any] = {
    "arch": "x86_64",
    "cpu_model": "EPYC-Milan",
    "cpu_vendor": "AMD",
    "cpus": 64,
    "cpu_mhz": 2450,
    "topology": {"sockets": 1, "cores": 32, "threads": 2, "numa_nodes": 1},
    "domain_types": ["kvm", "qemu"],
    "machine_types": [f"pc-q35-{major}.{minor}" for major in range(3, 9) for minor in range(3)],
    "has_kvm": True,
    "libvirt_version": "9.0.0",
    "qemu_version": "7.2.11",
    "bridges": ["br0", "br10", "br20"],
    "os_name": "Debian GNU/Linux 12 (bookworm)",
    "cpu_xml": "<cpu><model>EPYC-Milan</model></cpu>" + "<feature name='x'/>" * 100,
    "clock_offset_s": 0.01,
}


def _add_networks(made: Cluster) -> None:
    xml = (definitions.SAMPLES / "network-nat.xml").read_text()
    for name, mode in (("default", NetworkMode.NAT), ("lab", NetworkMode.ISOLATED), ("office", NetworkMode.BRIDGE)):
        network = Network.objects.create(name=name, mode=mode)
        NetworkOnHost.objects.bulk_create(
            NetworkOnHost(network=network, host=host, uuid=uuid.uuid4(), is_active=True, autostart=True, xml=xml)
            for host in made.hosts
        )


# --- VMs -------------------------------------------------------------------------------------------------------------


def _add_vms(made: Cluster, numbers: Iterable[int], count: int) -> None:
    live, kept = definitions.sample("domain-live"), definitions.sample("domain-inactive")
    rows = [_vm(made, number, count, live, kept) for number in numbers]
    vms = Vm.objects.bulk_create(rows)
    Presence.objects.bulk_create(
        Presence(vm=vm, host=vm.host, observed_state=vm.observed_state, seen_at=vm.state_since) for vm in vms
    )
    second = [vm for vm in vms if vm.is_duplicate]
    Presence.objects.bulk_create(
        Presence(vm=vm, host=made.random.choice(made.hosts[:3]), observed_state=VmState.RUNNING) for vm in second
    )
    DiskFile.objects.bulk_create(DiskFile(vm=vm, path=path) for vm in vms for path in _files(vm))
    MacAddress.objects.bulk_create(MacAddress(vm=vm, mac=nic["mac"]) for vm in vms for nic in vm.nics)
    DefinitionVersion.objects.bulk_create(DefinitionVersion(vm=vm, xml=vm.definition, cause="adopted") for vm in vms)
    through = Vm.tags.through
    through.objects.bulk_create(
        through(vm_id=vm.pk, tag_id=tag.pk)
        for vm in vms
        for tag in made.random.sample(made.tags, made.random.choice((0, 1, 1, 2, 3)))
    )
    add_volumes(made, vms)


def _files(vm: Vm) -> set[str]:
    """As vms.definitions would find them."""
    return {path for disk in vm.disks for path in (disk["place"], *disk["backing"]) if path}


def _vm(made: Cluster, number: int, count: int, live: Any, kept: Any) -> Vm:
    random = made.random
    name = f"{random.choice(ROLES)}-{number:05}"
    identity = uuid.UUID(int=random.getrandbits(128), version=4)
    mac = f"52:54:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    state = random.choice(STATES)
    sizes = random.choice((1, 2, 4, 8, 16)) * GIB, random.choice((1, 2, 4, 8))
    pool = made.pools[number % 8]
    image = random.choice([one for one in made.images if one.pool_id == pool.pk])
    start = f"{pool.target_path}/{name}"
    files = definitions.Files(f"{start}.qcow2", f"{start}-data.raw", f"{start}-seed.iso", image.path)
    definition = definitions.renamed(kept, name, identity, mac, files, *sizes)
    live_definition = definitions.renamed(live, name, identity, mac, files, *sizes) if state in ALIVE else ""
    address = f"10.{100 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}" if state == VmState.RUNNING else ""
    host = made.hosts[number % len(made.hosts)]
    return Vm(
        uuid=identity,
        name=name,
        owner=random.choice(made.users) if random.random() < 0.8 else None,
        title="Somebody’s course, second term" if number % 9 == 0 else "",
        image=image if random.random() < 0.7 else None,
        created_at=made.ago(random.uniform(0, 4e7)),
        host=host,
        read_from=host,
        observed_state=state,
        state_since=made.ago(random.uniform(0, 4e6)),
        seen_at=made.ago(random.uniform(0, 4e5)),
        missing_since=made.ago(90_000) if number % 499 == 7 else None,
        is_duplicate=number % (count // 2) == 11,
        memory_bytes=sizes[0],
        vcpus=sizes[1],
        autostart=number % 3 == 0,
        addresses=[address, f"fd00::{number:x}"] if address else [],
        address=address,
        started_at=made.ago(random.uniform(0, 4e6)) if state in ALIVE else None,
        definition=definition,
        live_definition=live_definition,
        definition_at=made.ago(500_000),
        hardware=hardware.of(summary.parse(live_definition or definition)),
        **_figures(random, state, sizes[0]),
    )


def _figures(random: Random, state: str, memory_bytes: int) -> dict[str, Any]:
    if state != VmState.RUNNING:
        return {}
    history = [round(random.uniform(0, 80), 1) for _ in range(60)]
    used = int(memory_bytes * random.uniform(0.2, 0.9))
    return {"cpu_percent": history[-1], "cpu_history": history, "memory_used_bytes": used}
