"""Rows as watch would have written them: hosts that answer, pools, networks, VMs. Small on purpose."""

from typing import Any
from uuid import uuid4

from django.test import Client
from django.utils import timezone

from access.models import Grant, Group, Membership, Role, User
from hosts.models import Host, Network, NetworkMode, NetworkOnHost
from hosts.states import HostState, Transport
from storage.models import Pool, PoolOnHost
from vms.models import DiskFile, Presence, Vm
from vms.states import VmState

GIB = 1024**3


def make_host(name: str = "vmhost1", **more: Any) -> Host:
    """A host that answers, with 16 GiB of which 12 are free."""
    now = timezone.now()
    given = {
        "transport": Transport.TEST,
        "address": f"{name}.test",
        "observed_state": HostState.UP,
        "seen_at": now,
        "uuid": uuid4(),
        "arch": "x86_64",
        "cpus": 8,
        "memory_bytes": 16 * GIB,
        "memory_free_bytes": 12 * GIB,
        "libvirt_version": "9.0.0",
        "qemu_version": "7.2.22",
        "bridges": ["br0"],
        "domain_types": ["qemu"],
        "clock_offset_s": 0.0,
    }
    return Host.objects.create(name=name, **{**given, **more})


def make_pool(name: str = "vmstorage", *hosts: Host, kind: str = "glusterfs", **more: Any) -> Pool:
    """A pool active on these hosts, half full; shared unless it is a folder."""
    path = f"/var/lib/libvirt/drover/{name}"
    shared = kind != "dir"
    pool = Pool.objects.create(name=name, kind=kind, target_path=path, is_shared=shared, uuid=uuid4(), **more)
    for host in hosts:
        PoolOnHost.objects.create(
            pool=pool,
            host=host,
            uuid=pool.uuid,
            is_active=True,
            autostart=True,
            capacity_bytes=100 * GIB,
            allocation_bytes=50 * GIB,
            available_bytes=50 * GIB,
            identity=f"{kind}:{name}",
            seen_at=timezone.now(),
        )
    return pool


def make_network(name: str, *hosts: Host) -> Network:
    network = Network.objects.create(name=name, mode=NetworkMode.NAT)
    for host in hosts:
        NetworkOnHost.objects.create(network=network, host=host, uuid=uuid4(), is_active=True, bridge="virbr0")
    return network


def make_vm(host: Host | None, name: str = "web-07", *, pool: Pool | None = None, **more: Any) -> Vm:
    """A running VM with one disk (in the pool, if given) and one card on br0."""
    folder = pool.target_path if pool else "/var/lib/libvirt/images"
    disk = {"target": "vda", "device": "disk", "source_kind": "file", "path": f"{folder}/{name}.qcow2"}
    nic = {"mac": "52:54:00:00:00:01", "kind": "bridge", "source": "br0"}
    given = {
        "observed_state": VmState.RUNNING,
        "seen_at": timezone.now(),
        "memory_bytes": GIB,
        "vcpus": 1,
        "hardware": {"disks": [{**disk, "capacity_bytes": 10 * GIB}], "nics": [nic], "domain_type": "qemu"},
    }
    vm = Vm.objects.create(uuid=uuid4(), name=name, host=host, **{**given, **more})
    if host is not None:
        Presence.objects.create(vm=vm, host=host, observed_state=vm.observed_state)
    note_files(vm)
    return vm


def note_files(vm: Vm) -> None:
    """Its disks as the files it uses, as the reading of its definitions would do it."""
    paths = {path: False for disk in vm.disks for path in disk.get("backing", [])}
    paths |= {disk["path"]: True for disk in vm.disks if disk.get("path")}
    vm.disk_files.all().delete()
    DiskFile.objects.bulk_create(DiskFile(vm=vm, path=path, is_written=paths[path]) for path in paths)


def make_user(name: str = "anna", role: str = Role.USER, **more: Any) -> User:
    return User.objects.create_user(name, role=role, **more)


def make_group(name: str = "Operating systems", *members: User, manager: User | None = None) -> Group:
    """A course with these people, and one who manages it."""
    group = Group.objects.create(name=name)
    Membership.objects.bulk_create(Membership(group=group, user=user) for user in members)
    if manager is not None:
        Membership.objects.create(group=group, user=manager, is_manager=True)
    return group


def give(to: User | Group, role: str, on: Vm | Pool | Group | None = None, **more: Any) -> Grant:
    """A role for a person or a group on one thing; on None it is for everything."""
    subject = {"to_user": to} if isinstance(to, User) else {"to_group": to}
    kinds: dict[type, str] = {Vm: "on_vm", Pool: "on_pool", Group: "on_group"}
    target = {} if on is None else {kinds[type(on)]: on}
    return Grant.objects.create(role=role, **subject, **target, **more)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
