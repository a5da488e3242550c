"""Pages at 10,000 VMs: time in the server, queries, size."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench import database
from bench.scene import Scene
from bench.table import Result, p95

WARM_UP = 5
REQUESTS = 100
TIME_MS, QUERIES, BYTES = 60.0, 12, 150_000


@dataclass(frozen=True)
class Page:
    label: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Measured:
    """p95 of the time in the server; cpu_ms is what it computes (median): the rest is waiting for other processes."""

    page: Page
    p95_ms: float
    cpu_ms: float
    queries: int
    size: int

    @property
    def note(self) -> str:
        figures = (
            f"{self.p95_ms:6.1f} ms (computing {self.cpu_ms:5.1f}) {self.queries:3} queries {self.size / 1000:6.1f} kB"
        )
        return f"{self.page.label:28} {figures}  {self.page.url[:70]}"


def measure(scene: Scene, pages: Sequence[Page], requests: int = REQUESTS) -> list[Measured]:
    """Ask for each page as a logged-in administrator, through all middleware, each with a new database connection.

    New, because that is what a request to the running product gets: one request's thread opens its own.
    """
    assert scene.redis
    with database.watched():
        return [ask(page, requests) for page in pages]


def ask(page: Page, requests: int) -> Measured:
    """One page, as a person logged in once sees it."""
    from django.conf import settings
    from django.db import connection, connections
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from access.models import User

    if settings.DEBUG:
        raise SystemExit("DROVER_DEBUG is set: what is measured with it means nothing")
    client, headers = Client(), dict(page.headers)
    client.force_login(User.objects.get(username="ada"))
    times, computed = [], []
    for number in range(WARM_UP + requests):
        connections.close_all()
        began, cpu = time.perf_counter(), time.process_time()
        answer = client.get(page.url, headers=headers)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        if answer.status_code != 200:
            raise AssertionError(f"{page.url}: status {answer.status_code}")
        if number >= WARM_UP:
            times.append(took * 1000)
            computed.append(cpu * 1000)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(page.url, headers=headers)
    found = Measured(page, p95(times), median(computed), len(queries), len(answer.content))
    sys.stderr.write(f"  {found.note}\n")
    return found


def list_pages() -> list[Page]:
    cluster = database.large()
    host, user = cluster.hosts[42], cluster.users[7]
    htmx = (("HX-Request", "true"), ("HX-Target", "vm-list"))
    queries = {
        "first page": "",
        "search": "?q=web-0",
        "search an address": "?q=10.100.3",
        "search, nothing found": "?q=no+such+thing",
        "running": "?state=running",
        "unknown": "?state=unknown",
        "host": f"?host={host.name}",
        "owner and tag": f"?owner={user.username}&tag=web",
        "image": "?image=debian-12",
        "by host": "?sort=host",
        "by memory, down": "?sort=-memory",
        "by owner": "?sort=owner",
        "by CPU": "?sort=-cpu",
        "page 150": "?page=150",
        "filtered, sorted, deep": "?state=running&q=e&sort=-address&page=60",
    }
    pages = [Page(label, f"/vms/{query}") for label, query in queries.items()]
    return [*pages, Page("live refresh", "/vms/", htmx)]


def vm_list(scene: Scene) -> list[Result]:
    found = measure(scene, list_pages())
    slowest = max(one.p95_ms for one in found)
    queries = max(one.queries for one in found)
    size = max(one.size for one in found)
    return [
        Result(
            "VM list, 10,000 VMs on 500 hosts, 50 dead, SQLite",
            f"p95 <= {TIME_MS:.0f} ms, <= {QUERIES} queries, <= {BYTES // 1000} kB",
            f"{slowest:.0f} ms, {queries} queries, {size / 1000:.0f} kB",
            slowest <= TIME_MS and queries <= QUERIES and size <= BYTES,
            tuple(one.note for one in found),
        )
    ]


def other_pages() -> list[Page]:
    from vms.models import Vm

    cluster = database.large()
    vm = Vm.objects.filter(observed_state="running", host=cluster.hosts[42]).order_by("name")[0]
    lost = Vm.objects.filter(host=cluster.hosts[3]).order_by("name")[0]
    host, pool, image = cluster.hosts[42], cluster.pools[0], cluster.images[0]
    htmx = (("HX-Request", "true"),)
    return [
        Page("VM page", f"/vms/{vm.uuid}/"),
        Page("VM page, host dead", f"/vms/{lost.uuid}/"),
        Page("VM page: hardware", f"/vms/{vm.uuid}/hardware"),
        Page("VM page: definition", f"/vms/{vm.uuid}/definition"),
        Page("VM page: jobs", f"/vms/{vm.uuid}/jobs"),
        Page("VM's row", f"/vms/{vm.uuid}/row", htmx),
        Page("VM's facts", f"/vms/{vm.uuid}/facts", htmx),
        Page("host page", f"/hosts/{host.pk}/"),
        Page("host page: its VMs", f"/vms/on-host/{host.pk}", htmx),
        Page("host page: its pools", f"/storage/on-host/{host.pk}", htmx),
        Page("overview", "/"),
        Page("overview: figures", "/overview/figures", htmx),
        Page("overview: attention", "/overview/attention", htmx),
        Page("overview: map", "/overview/map", htmx),
        Page("search palette", "/search?q=web-00", htmx),
        Page("search palette, one letter", "/search?q=e", htmx),
        Page("hosts", "/hosts/"),
        Page("storage", "/storage/"),
        Page("pool", f"/storage/pools/{pool.pk}/"),
        Page("images", "/storage/images/"),
        Page("image", f"/storage/images/{image.pk}/"),
        Page("networks", "/hosts/networks/"),
        Page("jobs", "/jobs/"),
        Page("jobs, failed", "/jobs/?state=failed"),
        Page("VM: migration dialog", f"/vms/{vm.uuid}/migrate", htmx),
        Page("create a VM", "/vms/create"),
    ]


MAIN = {"VM page": "VM page", "host page": "host page", "overview": "overview"}


def pages(scene: Scene) -> list[Result]:
    found = {one.page.label: one for one in measure(scene, other_pages())}
    results = []
    for label in MAIN:
        mine = [one for key, one in found.items() if key.startswith(label)]
        results.append(_result(f"{label} at that size", mine))
    rest = [one for key, one in found.items() if not key.startswith(tuple(MAIN))]
    results.append(_result("every other page at that size", rest))
    return results


def _result(what: str, found: list[Measured]) -> Result:
    slowest = max(one.p95_ms for one in found)
    notes = tuple(one.note for one in found)
    return Result(what, f"p95 <= {TIME_MS:.0f} ms", f"{slowest:.0f} ms", slowest <= TIME_MS, notes)
