"""A small cluster in the database: no host is touched."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hosts.models import Host
from storage.models import Pool, PoolOnHost
from vms.models import Vm

GIB = 2**30


@dataclass
class Small:
    """Two hosts that are up and one that does not answer; a shared pool and a local one."""

    up: Host
    other: Host
    silent: Host
    shared: Pool
    local: Pool

    def vm(self, name: str, host: Host | None, state: str = "running", **fields: Any) -> Vm:
        fields = {"memory_bytes": 2 * GIB, "vcpus": 2, "seen_at": timezone.now(), **fields}
        return Vm.objects.create(uuid=uuid.uuid4(), name=name, host=host, observed_state=state, **fields)


def make_host(name: str, state: str = "up", **fields: Any) -> Host:
    fields = {"memory_bytes": 64 * GIB, "memory_free_bytes": 16 * GIB, "cpus": 8, "cpu_percent": 25.0, **fields}
    return Host.objects.create(name=name, observed_state=state, seen_at=timezone.now(), **fields)


@pytest.fixture
def small(db: None) -> Small:
    hosts = [make_host("vmhost1"), make_host("vmhost2", cpu_percent=75.0), make_host("vmhost3", "unreachable")]
    keys = [host.pk for host in hosts]
    for host in hosts:
        host.trusted_hosts = [key for key in keys if key != host.pk]
        host.save(update_fields=["trusted_hosts"])
    Host.objects.filter(name="vmhost3").update(seen_at=timezone.now() - timedelta(minutes=3))
    shared = Pool.objects.create(name="vmstorage", kind="glusterfs", is_shared=True)
    local = Pool.objects.create(name="local", kind="dir")
    for pool, used in ((shared, 50), (local, 20)):
        for host in hosts:
            PoolOnHost.objects.create(
                pool=pool,
                host=host,
                is_active=True,
                capacity_bytes=100 * GIB,
                allocation_bytes=used * GIB,
                available_bytes=(100 - used) * GIB,
            )
    return Small(hosts[0], hosts[1], hosts[2], shared, local)
