"""Takes the lab (python3 -m lab) into a running Drover, by the same jobs that a person would start."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from shlex import quote
from typing import Any

from access.models import User
from hosts.models import Host
from hosts.operations.onboarding import AcceptHost, InstallKey, PinKeys, ProbeHost
from hosts.operations.trust import TrustHosts
from hosts.states import SetupStep
from jobs import secrets
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from jobs.operations import Operation, by_name
from jobs.states import ENDED, State
from storage.models import Image, Pool
from storage.operations.images import begin_volume_import
from storage.operations.pools import PlacePool, begin_pool

BEGIN_WITHIN_S = 30
END_WITHIN_S = 300
POOL_PATH = "/var/lib/libvirt/vmstorage"
OS_NAMES = {"tiny": "Tiny Linux of the lab", "debian": "Debian"}
UNPINNED = ("-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
Say = Callable[[str], None]


class LabProblem(Exception):
    """The lab can't be taken in; the message says why."""


class LabCluster:
    """What lab.json says, and Drover's rows for it."""

    def __init__(self, file: Path, user: User, say: Say) -> None:
        if not file.is_file():
            raise LabProblem(f"{file}: there is no such file. Is the lab up (make lab)?")
        self.facts: dict[str, Any] = json.loads(file.read_text())
        self.known_hosts = (file.parent / "known_hosts").read_text()
        self.user = user
        self.say = say

    @property
    def machines(self) -> dict[str, dict[str, Any]]:
        """The lab's VM hosts; the storage host runs no VMs."""
        return {name: facts for name, facts in self.facts["hosts"].items() if facts["kind"] != "storage"}

    def rows(self) -> list[Host]:
        addresses = [facts["address"] for facts in self.machines.values()]
        return list(Host.objects.filter(address__in=addresses).order_by("name"))

    # --- taking it in

    def adopt(self) -> None:
        """Hosts, trust between them, the shared pool and the guest images; what is there already stays."""
        self.say("Adding the hosts " + ", ".join(self.machines))
        hosts = [self._row(name, facts) for name, facts in self.machines.items()]
        fresh = [host for host in hosts if not host.is_managed]
        self._do(ProbeHost(host) for host in fresh)
        self._do(PinKeys(host, {"keys": self._compared(host)}) for host in self._again(fresh))
        self._do(InstallKey(host, {"secret": secrets.put(self._password(host))}) for host in self._again(hosts))
        self._wait(list(Job.objects.filter(operation="hosts.preflight", target_key__in=[str(h.pk) for h in hosts])))
        self._do(AcceptHost(host) for host in self._again(fresh))
        self.say("Letting the hosts trust each other, for live migration")
        self._do([TrustHosts(None, {"hosts": [host.pk for host in hosts]})])  # toys: real hosts don't let them in
        self._wait_until_up(hosts)
        pool = self._pool(self._again(hosts))
        for name, path in self.facts["images"].items():
            self._image(pool, hosts[0], name, Path(path))

    def _row(self, name: str, facts: dict[str, Any]) -> Host:
        known = Host.objects.filter(address=facts["address"]).first()
        if known is not None:
            return known
        if Host.objects.filter(name=name).exists():
            raise LabProblem(f"There is another host named {name} already.")
        return Host.objects.create(
            name=name,
            address=facts["address"],
            username=facts["user"],
            is_managed=False,
            setup_step=SetupStep.KEYS,
        )

    def _compared(self, host: Host) -> list[list[str]]:
        """The keys the host showed, if they are those that the lab made for it."""
        for kind, blob in host.offered_keys:
            if not any(line.split()[1:3] == [kind, blob] for line in self._lines(host)):
                raise LabProblem(f"{host}: what answers at {host.address} is not this lab's host.")
        return list(host.offered_keys)

    def _lines(self, host: Host) -> list[str]:
        lines = [line for line in self.known_hosts.splitlines() if host.address in line.split(" ")[0].split(",")]
        kinds = {kind for kind, _blob in host.offered_keys}
        if not {line.split()[1] for line in lines} >= kinds:
            raise LabProblem(f"{host}: the lab's known_hosts lacks a key of it.")
        return lines

    def _password(self, host: Host) -> str:
        return next(str(facts["password"]) for facts in self.machines.values() if facts["address"] == host.address)

    def _wait_until_up(self, hosts: list[Host]) -> None:
        deadline = time.monotonic() + BEGIN_WITHIN_S * 2
        while not all(host.is_up for host in self._again(hosts)):
            if time.monotonic() > deadline:
                raise LabProblem("The hosts are added, but the watch process does not see them.")
            time.sleep(0.3)

    def _pool(self, hosts: list[Host]) -> Pool:
        gluster = self.facts["gluster"]
        if known := self._known_pool():
            return self._place(known, hosts)
        self.say(f"Making the shared pool {gluster['volume']} present on all hosts")
        fields = {
            "name": gluster["volume"],
            "kind": "glusterfs",
            "target_path": POOL_PATH,
            "source": {"host": gluster["server"], "path": gluster["volume"]},
        }
        try:
            self._wait([begin_pool(self.user, fields, hosts)])
        except Refused:
            if (known := self._known_pool()) is None:  # else it was found on a host in this moment
                raise
            return self._place(known, hosts)
        return Pool.objects.get(name=gluster["volume"])

    def _place(self, pool: Pool, hosts: list[Host]) -> Pool:
        self._do([PlacePool(pool, {"hosts": [host.pk for host in hosts]})])
        return pool

    def _known_pool(self) -> Pool | None:
        """The pool on the lab's volume, whatever its name: it may have been found on the hosts."""
        gluster = self.facts["gluster"]
        same = Pool.objects.filter(kind="glusterfs", source__path=gluster["volume"])
        return same.filter(source__host__in=[gluster["server"], gluster["address"]]).first()

    def _image(self, pool: Pool, host: Host, name: str, path: Path) -> None:
        """Copy the file into the pool as a person would by scp, and import it from there."""
        version = path.stem.rpartition("-")[2]
        known = Image.objects.filter(name=name, version=version, pool=pool).first()
        if known is not None and self._is_there(host, known.path):
            return
        if known is not None:  # of a lab that went without a word to Drover; this one's volume is empty
            known.delete()
        self.say(f"Importing the image {name}")
        volume = f"{name}-{version}{path.suffix}"
        self._copy(host, path, f"{pool.target_path}/{volume}")
        self._do([by_name("storage.refresh_pool")(pool, {"hosts": [host.pk]})])
        fields = {"name": name, "version": version, "pool": pool.pk, "host": host.pk, "volume": volume}
        self._wait([begin_volume_import(self.user, {**fields, "os_name": OS_NAMES.get(name, "")})])

    def _is_there(self, host: Host, file: str) -> bool:
        argv = ["ssh", "-i", self.facts["key"], *UNPINNED, f"{host.username}@{host.address}", f"test -e {quote(file)}"]
        return subprocess.run(argv, capture_output=True, check=False, timeout=BEGIN_WITHIN_S).returncode == 0

    def _copy(self, host: Host, path: Path, target: str) -> None:
        argv = ["scp", "-i", self.facts["key"], *UNPINNED, str(path), f"{host.username}@{host.address}:{target}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=END_WITHIN_S)
        if done.returncode != 0:
            raise LabProblem(f"{path.name} could not be copied to {host}: {done.stderr.strip()}")

    # --- leaving it

    def forget(self) -> None:
        """Remove Drover's records of the lab: hosts, their VMs, the pool that only they had, and its images."""
        hosts = self.rows()
        for host in hosts:  # one by one: each takes its keys from those that are left
            self._do([by_name("hosts.remove")(host, {"forget_vms": True, "remove_keys": True})])
        pool = self._known_pool()
        if pool is not None and not pool.presences.exists():
            Image.objects.filter(pool=pool).delete()
            pool.delete()

    # --- jobs

    def _do(self, operations: Iterable[Operation]) -> None:
        self._wait([enqueue(operation, user=self.user) for operation in operations])

    def _wait(self, jobs: list[Job]) -> None:
        """Until all have succeeded. Raises LabProblem with the job's own words if one did not."""
        deadline = time.monotonic() + END_WITHIN_S
        begin = time.monotonic() + BEGIN_WITHIN_S
        while True:
            rows = list(Job.objects.filter(pk__in=[job.pk for job in jobs]))
            for job in rows:
                if job.state in ENDED and job.state != State.SUCCEEDED:
                    raise LabProblem(f"{job.title}: {job.error}")
            if all(job.state == State.SUCCEEDED for job in rows):
                return
            now = time.monotonic()
            if now > deadline or (now > begin and all(job.state == State.QUEUED for job in rows)):
                raise LabProblem("Drover's worker does not answer. Does make up run?")
            time.sleep(0.2)

    def _again(self, hosts: list[Host]) -> list[Host]:
        """The same hosts as the database has them now."""
        return list(Host.objects.filter(pk__in=[host.pk for host in hosts]).order_by("pk"))
