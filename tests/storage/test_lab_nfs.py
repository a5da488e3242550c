"""NFS for real: two hosts with a kernel of their own, one of which exports a folder. Slow to start, so one test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from access.models import User
from hosts import onboarding
from hosts.models import Host
from hosts.states import HostState
from jobs.models import Job
from jobs.run import Run
from storage import volumes
from storage.models import Image, Pool
from storage.operations.images import begin_volume_import
from storage.operations.pools import RemovePool, begin_pool
from storage.operations.search import SearchServer
from tests.labkit import Lab
from tests.storage.conftest import Do, finish, forget_on_hosts
from virt import ssh

pytestmark = [pytest.mark.lab, pytest.mark.django_db]
NAMES = ("full1", "full2")
PATH = "/var/lib/libvirt/drover/nfstest"


@pytest.fixture
def full_hosts(lab: Lab) -> Iterator[list[Host]]:
    lab.run("up", "--full")
    public = ssh.ensure_key(Path(settings.SSH_DIR))
    hosts = []
    for name in NAMES:
        lab.ssh(name, f"grep -qxF '{public}' .ssh/authorized_keys || echo '{public}' >> .ssh/authorized_keys")
        keys = [(key.kind, key.blob) for key in ssh.scan_keys(lab.address(name))]
        hosts.append(onboarding.register(name, address=lab.address(name), host_keys=keys))
    Host.objects.update(observed_state=HostState.UP)
    yield hosts
    forget_on_hosts(hosts, "nfstest")
    for name in NAMES:  # they would slow down all tests that follow
        lab.run("fault", "power-off", name)


def test_it_works(lab: Lab, full_hosts: list[Host], do: Do, admin: User) -> None:
    wish = {"kind": "nfs", "server": "full1", "hosts": [full_hosts[1].pk]}
    search = do(SearchServer(None, wish), admin)
    assert "/srv/nfs" in search.result.get("offered", []), (search.error, search.technical)
    source = {"host": "full1", "path": "/srv/nfs", "version": "4.2"}
    fields = {"name": "nfstest", "kind": "nfs", "target_path": PATH, "source": source}
    job = finish(begin_pool(admin, fields, full_hosts))
    assert job.state == "succeeded", [(part.error, part.technical) for part in job.children.all()]
    pool = Pool.objects.get()
    for host in full_hosts:
        assert pool.presences.get(host=host).is_usable
        assert "nfs4" in lab.ssh(host.name, f"grep ' {PATH} ' /proc/mounts")
    one, two = full_hosts
    volumes.upload_bytes(pool, one, "golden.img", lab.image("tiny").read_bytes(), replace=True)
    volumes.look_again(pool, two)
    golden = {"name": "golden", "version": "1", "pool": pool.pk, "host": two.pk, "volume": "golden.img"}
    job = finish(begin_volume_import(admin, golden))
    assert job.state == "succeeded", (job.error, job.technical)
    run = Run(Job.objects.create(operation="x", title="x"))
    path = volumes.create_overlay(run, pool, two, Image.objects.get(), "web.qcow2", 0)
    assert "backing file" in lab.ssh("full1", f"qemu-img info {path}")
    for name in ("web.qcow2", "golden.img"):
        assert volumes.delete_volume(pool, one, name)
    Image.objects.all().delete()
    assert do(RemovePool(pool, {"forget": True}), admin).state == "succeeded"
    assert not Pool.objects.exists()
