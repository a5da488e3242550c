"""Pools, images and volumes of the large cluster."""

from typing import TYPE_CHECKING

from storage.backends import identity
from storage.models import Image, ImageState, Pool, PoolOnHost, Volume
from storage.operations.pools import spec_of
from vms.models import Vm

if TYPE_CHECKING:
    from bench.seed import Cluster

TIB = 1024**4
GIB = 1024**3
FAMILIES = ("debian-12", "debian-13", "ubuntu-24.04", "rocky-9", "fedora-43", "opensuse-16", "freebsd-14", "tiny")
VERSIONS = 6


def add_pools(made: "Cluster") -> None:
    """Eight shared pools, each on every host of its part of the cluster, and each host's own folder."""
    for number in range(8):
        pool = Pool.objects.create(
            name=f"shared-{number}",
            kind="nfs",
            libvirt_type="netfs",
            source={"host": f"storage-{number}.example.org", "path": f"/export/{number}"},
            target_path=f"/var/lib/drover/shared-{number}",
            is_shared=True,
        )
        made.pools.append(pool)
        _present(made, pool, number)
    default = Pool.objects.create(
        name="default", kind="dir", libvirt_type="dir", target_path="/var/lib/libvirt/images", is_adopted=True
    )
    made.pools.append(default)
    _present(made, default, 0)


def _present(made: "Cluster", pool: Pool, number: int) -> None:
    hosts = [host for place, host in enumerate(made.hosts) if not pool.is_shared or place % 8 in {number, number ^ 1}]
    held = identity(spec_of(pool))
    PoolOnHost.objects.bulk_create(
        PoolOnHost(
            pool=pool,
            host=host,
            uuid=pool.uuid,
            is_active=True,
            autostart=True,
            capacity_bytes=(100 if pool.is_shared else 2) * TIB,
            allocation_bytes=int((40 if pool.is_shared else 1.2) * TIB),
            available_bytes=int((60 if pool.is_shared else 0.8) * TIB),
            identity=held,
            seen_at=host.seen_at,
        )
        for host in hosts
    )


def add_images(made: "Cluster") -> None:
    for number, family in enumerate(FAMILIES):
        pool = made.pools[number % 8]
        for version in range(VERSIONS):
            file = f"{family}-2026{version + 1:02}01.qcow2"
            made.images.append(
                Image.objects.create(
                    name=family,
                    version=f"2026{version + 1:02}01",
                    os_name=family.replace("-", " ").title(),
                    pool=pool,
                    volume_name=file,
                    path=f"{pool.target_path}/{file}",
                    format="qcow2",
                    size_bytes=600 * 1024**2,
                    virtual_size_bytes=8 * GIB,
                    state=ImageState.READY,
                    is_stored=True,
                )
            )


def add_volumes(made: "Cluster", vms: list[Vm]) -> None:
    """The disk and the seed of each VM."""
    for suffix, kind, size in ((".qcow2", "qcow2", 20 * GIB), ("-seed.iso", "iso", 400 * 1024)):
        Volume.objects.bulk_create(
            Volume(
                pool=(pool := next(one for one in made.pools if vm.disks[0]["path"].startswith(one.target_path + "/"))),
                name=f"{vm.name}{suffix}",
                path=f"{pool.target_path}/{vm.name}{suffix}",
                format=kind,
                capacity_bytes=size,
                allocation_bytes=size // 3,
                backing_path=vm.image.path if vm.image and kind == "qcow2" else "",
            )
            for vm in vms
        )
