"""`manage.py watch` as a process of its own against the lab: events, faults, moves behind its back, take-over."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import prepared
from tests.labkit import ROOT, Lab

pytestmark = pytest.mark.lab
HOSTS = ("vmhost1", "vmhost2", "vmhost3")
POOL = """<pool type='netfs'><name>watched</name>
<source><host name='vmstorage'/><dir path='/vmstorage/watched'/><format type='glusterfs'/></source>
<target><path>/var/lib/libvirt/watched</path></target></pool>"""
MAKE_POOLS = f"""virsh pool-destroy plain; virsh pool-destroy watched; virsh pool-undefine watched
set -e
mkdir -p /mnt/all /var/lib/libvirt/plain
mount -t glusterfs vmstorage:/vmstorage /mnt/all; mkdir -p /mnt/all/watched; umount /mnt/all
cat > /tmp/watched.xml <<'END'
{POOL}
END
virsh pool-define /tmp/watched.xml
virsh pool-build watched
virsh pool-start watched
virsh pool-create-as plain dir --target /var/lib/libvirt/plain"""
VM = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>96</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type='bridge'><source bridge='br0'/><mac address='52:54:00:aa:00:{mac}'/><model type='virtio'/></interface>
</devices></domain>"""
REGISTER = """
import json, sys
from pathlib import Path
from django.conf import settings
from hosts import onboarding
from virt import ssh
for name, address in json.loads({addresses!r}).items():
    keys = [(key.kind, key.blob) for key in ssh.scan_keys(address)]
    onboarding.register(name, address=address, host_keys=keys)
"""


@dataclass
class Watched:
    """A folder with a database of its own, and any number of watch processes."""

    lab: Lab
    var: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    redis: "subprocess.Popen[bytes] | None" = None

    def start_redis(self) -> None:
        """Where pages would be told; nobody listens."""
        folder = self.var / "run"
        folder.mkdir(exist_ok=True)
        argv = ["redis-server", "--unixsocket", str(folder / "redis.sock"), "--port", "0", "--save", ""]
        self.redis = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL)

    @property
    def environment(self) -> dict[str, str]:
        given = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
        return {**given, "DROVER_VAR": str(self.var), "DROVER_LOG_LEVEL": "INFO"}

    def manage(self, *words: str) -> str:
        argv = [sys.executable, "manage.py", *words]
        done = subprocess.run(argv, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> "subprocess.Popen[bytes]":
        log = (self.var / "watch.log").open("ab")
        argv = [sys.executable, "manage.py", "watch"]
        process = subprocess.Popen(argv, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(15)

    def ask(self, sql: str, *values: Any) -> list[Any]:
        with sqlite3.connect(f"file:{self.var}/drover.sqlite3?mode=ro", uri=True, timeout=10) as database:
            return database.execute(sql, values).fetchall()

    def host(self, name: str) -> str:
        return str(self.ask("SELECT observed_state FROM hosts_host WHERE name=?", name)[0][0])

    def vm(self, uuid: str) -> dict[str, Any]:
        rows = self.ask(
            "SELECT vm.observed_state, host.name, vm.missing_since, vm.is_duplicate, vm.owner_id,"
            " vm.read_from_id = host.id FROM vms_vm vm LEFT JOIN hosts_host host ON host.id = vm.host_id"
            " WHERE vm.uuid=?",
            uuid.replace("-", ""),
        )
        names = ("state", "host", "missing_since", "is_duplicate", "owner", "is_read")
        return dict(zip(names, rows[0], strict=True)) if rows else {}

    def until(self, check: Callable[[], object], within_s: float, every_s: float = 0.1) -> float:
        """Wait until `check` is true; how many seconds it took."""
        began = time.monotonic()
        while not check():
            if time.monotonic() - began > within_s:
                log = (self.var / "watch.log").read_text()[-3000:]
                raise AssertionError(f"not within {within_s} s\n{log}")
            time.sleep(every_s)
        return time.monotonic() - began

    def define(self, host: str, name: str, number: int) -> str:
        """A small VM without a disk; its UUID."""
        uuid = f"{number:08x}-aaaa-4bbb-8ccc-dddddddddddd"
        xml = VM.format(name=name, uuid=uuid, mac=f"{number % 256:02x}")
        self.lab.ssh(host, f"cat > /tmp/{name}.xml <<'END'\n{xml}\nEND\nvirsh define /tmp/{name}.xml")
        return uuid


@pytest.fixture(scope="module")
def watched(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(lab, tmp_path_factory.mktemp("watched"))
    watched.start_redis()
    prepared.prepare(watched.var)
    code = "from django.conf import settings; from virt import ssh; print(ssh.ensure_key(settings.SSH_DIR))"
    public = watched.manage("shell", "-v0", "-c", code).strip().splitlines()[-1]
    for name in HOSTS:
        lab.ssh(name, f"echo '{public}' >> .ssh/authorized_keys")
    addresses = json.dumps({name: lab.address(name) for name in HOSTS})
    watched.manage("shell", "-v0", "-c", REGISTER.format(addresses=addresses))
    watched.start()
    watched.until(lambda: all(watched.host(name) == "up" for name in HOSTS), 60)
    yield watched
    watched.stop()
    if watched.redis is not None:
        watched.redis.terminate()
        watched.redis.wait(10)
    for name in HOSTS:
        lab.ssh(
            name,
            "for vm in $(virsh list --all --name | grep ^watched-); do virsh destroy $vm; virsh undefine $vm; done",
        )


def test_an_event_is_a_changed_row(watched: Watched) -> None:
    """Long before the next look at the host."""
    uuid = watched.define("vmhost1", "watched-event", 1)
    watched.until(lambda: watched.vm(uuid).get("state") == "off", 5)
    watched.lab.ssh("vmhost1", "virsh start watched-event")
    watched.until(lambda: watched.vm(uuid)["state"] == "running", 5)
    for verb, state in [("suspend", "paused"), ("resume", "running")] * 3:
        watched.lab.ssh("vmhost1", f"virsh -q {verb} watched-event")
        watched.until(lambda state=state: watched.vm(uuid)["state"] == state, 5)  # type: ignore[misc]


def test_a_hung_libvirtd_is_one_host(watched: Watched) -> None:
    watched.lab.run("fault", "libvirtd", "stop", "vmhost2")
    try:
        assert watched.until(lambda: watched.host("vmhost2") == "unreachable", 20) <= 16
        assert (watched.host("vmhost1"), watched.host("vmhost3")) == ("up", "up")
        seen = watched.ask("SELECT seen_at FROM hosts_host WHERE name='vmhost1'")
        watched.until(lambda: watched.ask("SELECT seen_at FROM hosts_host WHERE name='vmhost1'") != seen, 12)
    finally:
        watched.lab.run("fault", "libvirtd", "cont", "vmhost2")
    watched.until(lambda: watched.host("vmhost2") == "up", 30)


def test_a_host_without_a_cable_is_marked_and_comes_back(watched: Watched) -> None:
    watched.lab.run("fault", "cut", "vmhost3")
    try:
        assert watched.until(lambda: watched.host("vmhost3") == "unreachable", 20) <= 16
        assert watched.host("vmhost1") == "up"
    finally:
        watched.lab.run("fault", "heal", "vmhost3")
    watched.until(lambda: watched.host("vmhost3") == "up", 60)


def test_libvirtd_restarted_loses_nothing(watched: Watched) -> None:
    uuid = watched.define("vmhost1", "watched-restart", 2)
    watched.until(lambda: watched.vm(uuid).get("state") == "off", 5)
    watched.lab.ssh("vmhost1", "systemctl restart libvirtd; virsh start watched-restart")
    watched.until(lambda: watched.vm(uuid)["state"] == "running", 30)
    watched.until(lambda: watched.host("vmhost1") == "up", 30)
    assert watched.vm(uuid)["missing_since"] is None


def test_a_move_with_virsh_keeps_the_owner(watched: Watched) -> None:
    lab = watched.lab
    uuid = watched.define("vmhost1", "watched-move", 3)
    lab.ssh("vmhost1", "virsh start watched-move")
    watched.until(lambda: watched.vm(uuid).get("state") == "running", 5)
    code = "from access.models import User; from vms.models import Vm; Vm.objects.filter(name='watched-move').update("
    watched.manage("shell", "-v0", "-c", code + "owner=User.objects.create_user('lena'))")
    lab.ssh("vmhost1", "[ -f .ssh/id_ed25519 ] || ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519")
    public = lab.ssh("vmhost1", "cat .ssh/id_ed25519.pub").strip()
    lab.ssh("vmhost2", f"echo '{public}' >> .ssh/authorized_keys")
    address = lab.address("vmhost2")
    lab.ssh("vmhost1", f"ssh-keyscan {address} vmhost2 >> .ssh/known_hosts 2>/dev/null")
    lab.ssh(
        "vmhost1", f"virsh migrate --live --persistent --undefinesource watched-move qemu+ssh://root@{address}/system"
    )
    watched.until(lambda: watched.vm(uuid)["host"] == "vmhost2" and watched.vm(uuid)["is_read"], 5)
    vm = watched.vm(uuid)
    assert (vm["state"], vm["is_duplicate"], vm["missing_since"]) == ("running", 0, None)
    assert vm["owner"] is not None
    assert watched.ask("SELECT count(*) FROM vms_vm WHERE name='watched-move'") == [(1,)]


def test_a_storage_that_hangs_greys_out_its_own_cell(watched: Watched) -> None:
    watched.lab.ssh("vmhost1", MAKE_POOLS)
    sql = (
        "SELECT cell.error, cell.seen_at FROM storage_poolonhost cell JOIN storage_pool pool ON pool.id=cell.pool_id"
        " JOIN hosts_host host ON host.id=cell.host_id WHERE pool.name=? AND host.name='vmhost1' AND cell.is_active"
    )
    watched.until(lambda: watched.ask(sql, "watched") and watched.ask(sql, "plain"), 40)
    time.sleep(32)  # the pulse now knows the paths
    watched.lab.run("fault", "storage", "hang")
    try:
        watched.until(lambda: watched.ask(sql, "watched")[0][0] != "", 80)
        before = watched.ask(sql, "plain")[0]
        watched.until(lambda: watched.ask(sql, "plain")[0][1] != before[1], 45)
        assert watched.ask(sql, "plain")[0][0] == ""
        assert watched.host("vmhost1") == "up"
    finally:
        watched.lab.run("fault", "storage", "resume")
    watched.until(lambda: watched.ask(sql, "watched")[0][0] == "", 120)
    watched.lab.ssh("vmhost1", "virsh pool-destroy plain; virsh pool-destroy watched; virsh pool-undefine watched")


def test_another_process_takes_over_from_a_killed_one(watched: Watched) -> None:
    first = watched.processes[-1]
    second = watched.start()
    holders = "SELECT count(DISTINCT watcher) FROM hosts_host WHERE watcher != ''"
    watched.until(lambda: watched.ask(holders) == [(2,)], 60)
    first.send_signal(signal.SIGKILL)
    first.wait(5)
    mine = f"%:{second.pid}:%"
    took = watched.until(
        lambda: watched.ask("SELECT count(*) FROM hosts_host WHERE watcher LIKE ?", mine) == [(3,)], 20
    )
    assert took <= 15
    uuid = watched.define("vmhost3", "watched-after", 4)
    watched.until(lambda: watched.vm(uuid).get("state") == "off", 10)


def test_ended_politely_it_gives_its_hosts_back(watched: Watched) -> None:
    watched.stop()
    assert watched.ask("SELECT count(*) FROM hosts_host WHERE watcher != ''") == [(0,)]
