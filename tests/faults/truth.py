"""Whether database and hosts agree, asked from both: the product's SQLite file and virsh on every lab host."""

import json
import sqlite3
import time
from contextlib import closing
from typing import Any

from tests.clusterkit import Cluster

VM_HOSTS = ("vmhost1", "vmhost2", "vmhost3")
WORDS = {"running": "running", "paused": "paused", "shut off": "off", "in shutdown": "shutting-down"}


def rows(cluster: Cluster, query: str, *values: Any) -> list[tuple[Any, ...]]:
    file = cluster.product.var / "drover.sqlite3"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)) as connection:
        return connection.execute(query, values).fetchall()


def samples_a_second(cluster: Cluster, job: dict[str, Any]) -> float:
    """How often a migration's figures were told, by libvirt's own clock for it."""
    ((text,),) = rows(cluster, "SELECT series FROM jobs_job WHERE id = ?", job["id"])
    told = [sample["elapsed_ms"] for sample in json.loads(text)]
    assert len(told) >= 2, told
    return 1000 * len(told) / max(1, told[-1] - told[0])


def on_hosts(cluster: Cluster) -> dict[str, dict[str, tuple[str, str]]]:
    """UUID -> {host: (name, state)} as the hosts say."""
    script = (
        'for u in $(virsh list --all --uuid); do echo "$u $(virsh domname $u | head -1) '
        '$(virsh domstate $u | head -1)"; done'
    )
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for host in VM_HOSTS:
        for line in cluster.lab.ssh(host, script).splitlines():
            parts = line.split(None, 2)
            if len(parts) == 3:
                found.setdefault(parts[0], {})[host] = (parts[1], WORDS.get(parts[2], parts[2]))
    return found


def in_database(cluster: Cluster) -> dict[str, dict[str, tuple[str, str]]]:
    """The same as Drover's rows say."""
    query = (
        "SELECT v.uuid, h.name, v.name, v.observed_state FROM vms_vm v LEFT JOIN hosts_host h ON h.id = v.host_id"
        " WHERE v.missing_since IS NULL"
    )
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for uuid, host, name, state in rows(cluster, query):
        dashed = f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}"
        found[dashed] = {str(host): (name, state)}
    return found


def orphans(cluster: Cluster) -> set[str]:
    """Files on the shared pool that belong to no VM: Drover puts the beginning of the VM's UUID into their names."""
    images = {path.rpartition("/")[2] for (path,) in rows(cluster, "SELECT path FROM storage_image")}
    known = [uuid[:8] for (uuid,) in rows(cluster, "SELECT uuid FROM vms_vm")]
    strange = cluster.files() - images - cluster.found
    return {name for name in strange if not any(f"-{stem}" in name for stem in known)}


def until_agreed(cluster: Cluster, within_s: float = 45) -> None:
    """Wait until rows and hosts say the same, then check what must never be."""
    until = time.monotonic() + within_s
    while (said := on_hosts(cluster)) != (kept := in_database(cluster)):
        if time.monotonic() > until:
            raise AssertionError(f"hosts: {said}\ndatabase: {kept}")
        time.sleep(2)
    assert all(len(places) == 1 for places in said.values()), said
    lost = rows(cluster, "SELECT name FROM vms_vm WHERE missing_since IS NOT NULL AND NOT is_adopted OR is_duplicate")
    assert lost == [], lost  # those that other tests made past this product come and go
    assert not rows(cluster, "SELECT name FROM vms_vm WHERE observed_state = 'creating'")


def until_jobs_ended(cluster: Cluster, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    query = "SELECT id, title, state, step, attempt FROM jobs_job WHERE finished_at IS NULL"
    while left := rows(cluster, query):
        assert time.monotonic() < until, left
        time.sleep(0.5)
    assert not rows(cluster, "SELECT * FROM jobs_joblock")
    assert not rows(cluster, "SELECT name FROM vms_vm WHERE job_id IS NOT NULL")
    assert not rows(cluster, "SELECT title, error, technical FROM jobs_job WHERE state = 'errored'")
