"""A running Drover with the lab as its cluster, for tests marked `lab` and `e2e` that need the whole product."""

import time
from dataclasses import dataclass
from typing import Any

from tests.labkit import Lab
from tests.product import Product

MIB = 1024 * 1024
POOL = "vmstorage"
BUSY = "#cloud-config\nruncmd:\n- dirty 48 20\n"  # rewrites 48 MB at 20 MB/s: a migration has work to do


@dataclass
class Cluster:
    """The product and the lab under it."""

    product: Product
    lab: Lab
    found: frozenset[str] = frozenset()  # files that lay on the shared pool before this test

    def host_id(self, name: str) -> int:
        return next(int(host["id"]) for host in self.product.api("GET", "/hosts/") if host["name"] == name)

    def pool_id(self) -> int:
        return next(int(pool["id"]) for pool in self.product.api("GET", "/pools/") if pool["name"] == POOL)

    def files(self) -> set[str]:
        """The files on the shared pool; folders are other tests' pools."""
        script = f"ls -1p $(virsh pool-dumpxml {POOL} | sed -n 's|.*<path>\\(.*\\)</path>.*|\\1|p')"
        return {name for name in self.lab.ssh("vmhost1", script).split() if not name.endswith("/")}

    def wish(self, name: str, *, host: str | None = None, user_data: str = "", **more: Any) -> dict[str, Any]:
        """What POST /vms takes for a tiny VM on the shared pool."""
        return {
            "name": name,
            "image": "tiny",
            "pool": self.pool_id(),
            "host": self.host_id(host) if host else None,
            "memory_bytes": 160 * MIB,
            "nics": [{"bridge": "br0"}],
            "first_boot": {"user_data": user_data},
            **more,
        }

    def create(self, name: str, *, host: str | None = None, user_data: str = "", **more: Any) -> str:
        """A running tiny VM; returns its UUID."""
        wish = self.wish(name, host=host, user_data=user_data, **more)
        return str(self.product.done(self.product.api("POST", "/vms/", wish))["target_key"])

    def vm(self, uuid: str) -> dict[str, Any]:
        found: dict[str, Any] = self.product.api("GET", f"/vms/{uuid}")
        return found

    def until_whole(self, within_s: float = 90) -> None:
        """After a fault: until all hosts are up and the pool is active on them.

        libvirt ends a pool whose content it could not list while the network was away: it is started, as people would.
        """
        until = time.monotonic() + within_s
        while any(host["state"] != "up" for host in self.product.api("GET", "/hosts/")):
            assert time.monotonic() < until, self.product.api("GET", "/hosts/")
            time.sleep(0.5)
        time.sleep(2)  # the first sweep after its return says how the pool is
        while ended := self._hosts_without_pool():
            assert time.monotonic() < until, ended
            job = self.product.api("POST", f"/pools/{self.pool_id()}/actions/start", {"hosts": ended})
            self.product.wait_job(job)

    def _hosts_without_pool(self) -> list[int]:
        pool = next(pool for pool in self.product.api("GET", "/pools/") if pool["name"] == POOL)
        return [int(one["host_id"]) for one in pool["presences"] if not one["is_active"]]

    def remove(self, uuid: str) -> None:
        """Force it off and delete it with its disks, whatever state it is in."""
        vm = self.vm(uuid)
        if vm["state"] != "off":
            self.product.wait_job(self.product.api("POST", f"/vms/{uuid}/actions/force-off"))
        hardware = self.vm(uuid)["hardware"]
        disks = [disk["path"] for disk in hardware.get("disks", []) if disk["device"] == "disk"]
        self.product.done(self.product.api("DELETE", f"/vms/{uuid}", {"disks": disks}))

    def where(self, uuid: str) -> dict[str, str]:
        """The truth from the hosts themselves: host name -> state, for hosts that hold the VM."""
        found = {}
        for name in ("vmhost1", "vmhost2", "vmhost3"):
            state = self.lab.ssh(name, f"virsh domstate {uuid} 2>/dev/null", check=False).strip()
            if state:
                found[name] = state
        return found

    def alive(self, uuid: str) -> list[str]:
        return [name for name, state in self.where(uuid).items() if state in {"running", "paused"}]

    def migrate(self, uuid: str, host: str, **more: Any) -> dict[str, Any]:
        """Ask for a live migration; returns the job as accepted."""
        body = {"host": self.host_id(host), **more}
        job: dict[str, Any] = self.product.api("POST", f"/vms/{uuid}/migrate", body)
        return job

    def until_moving(self, job: dict[str, Any], percent: float = 5, within_s: float = 40) -> None:
        """Wait until a migration has really sent something."""
        until = time.monotonic() + within_s
        while True:
            found = self.product.api("GET", f"/jobs/{job['id']}")
            if (found["percent"] or 0) >= percent and found["detail"].get("total"):
                return
            if found["state"] not in {"queued", "running"} or time.monotonic() > until:
                raise AssertionError(f"the migration does not move: {found}")
            time.sleep(0.25)
