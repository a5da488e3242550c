"""Hostile input to the pages: addresses, queries, forms. A message beside the field, never an error of ours."""

from typing import Any

import pytest
from django.urls import reverse

from hosts.models import Host
from jobs.models import Job
from storage.models import Image, Pool, Volume
from tests.security.table import TABLE
from tests.security.test_hostile_api import NASTY
from tests.security.test_rights import address
from tests.security.world import World, off
from vms.models import Vm

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]
TEXTS = [text for text in NASTY if "\ud800" not in text]  # what a browser can send
ODD = ["²", "٣", "9" * 30, "9" * 5000, "-1", "<b>", "'\"", "1;drop", "ff" * 300, "%ff%fe"]
PARAMETERS = (
    "page columns q name host owner tag image state sort job version volume kind verb from tab find ids".split()
)
PARAMETERS += ["who", "before", "since"]


def counts() -> list[int]:
    return [model.objects.count() for model in (Vm, Job, Host, Pool, Image, Volume)]


def refused(answer: Any, before: list[int], *, says: str = "") -> None:
    """422 with a message, nothing made, and what was written shown only escaped."""
    assert answer.status_code == 422, (answer.status_code, answer.content[:300])
    text = answer.content.decode()
    assert "invalid-feedback" in text or "alert" in text, text[-2000:]
    assert "<script>alert" not in text
    assert says in text
    assert counts() == before


@pytest.mark.parametrize("turn", range(3))
def test_odd_queries(world: World, turn: int) -> None:
    """Every page, with an oddity in every parameter that any page knows."""
    client = world.client("administrator")
    oddities = [ODD[(place + 4 * turn) % len(ODD)] for place in range(len(PARAMETERS))]
    query = "&".join(f"{name}={odd}" for name, odd in zip(PARAMETERS, oddities, strict=True))
    for name, row in TABLE.items():
        if "GET" in row.methods:
            answer = client.get(f"{reverse(name, args=row.values(world))}?{query}")
            assert answer.status_code < 500, name
            assert b"<b>" not in answer.content, name


@pytest.mark.parametrize("odd", ["²", "9" * 5000], ids=lambda text: ascii(text)[:10])
def test_odd_posts(world: World, odd: str) -> None:
    """The same in every field of every form."""
    client = world.client("administrator")
    fields = [*PARAMETERS, "hosts", "disks", "disk_bytes", "size_bytes", "memory_bytes", "vcpus", "count", "port"]
    fields += ["pool", "iso", "fingerprint", "size", "file_name", "bandwidth_mib", "timeout_s", "days", "sure", "dhcp"]
    for name, row in TABLE.items():
        if "POST" in row.methods and name not in {"access:logout", "access:password"}:
            url = reverse(name, args=row.values(world))
            answer = client.post(
                url, dict.fromkeys(fields, odd), headers={"Upload-Offset": odd[:50].encode().decode("latin1")}
            )
            assert answer.status_code < 500, name


@pytest.mark.parametrize(
    "path", ["vms/../../etc/passwd", "static/../settings.py", "jobs/" + "9" * 400 + "/", "vms/%00/"]
)
def test_odd_addresses(world: World, path: str) -> None:
    assert world.client("administrator").get("/" + path).status_code == 404


@pytest.mark.parametrize("name", TEXTS, ids=ascii)
def test_names(world: World, name: str) -> None:
    client, before = world.client("administrator"), counts()
    vm = off(world)
    refused(client.post(reverse("vms:rename", args=[vm.uuid]), {"name": name}), before)
    shell = {"kind": "dir", "hosts": [world.host.pk]}
    if name.strip():  # an empty one is a field not filled in
        refused(client.post(reverse("storage:add_pool"), {**shell, "name": name}), before)
        refused(client.post(reverse("hosts:add"), {"address": "10.0.0.9", "name": name, "transport": "ssh"}), before)
        volume = {"name": name, "size": "1", "format": "qcow2"}
        if not name.strip().replace("-", "").isalnum():
            refused(client.post(reverse("storage:add_volume", args=[world.pool.pk]), volume), before)


@pytest.mark.parametrize(
    "path",
    ["/etc", "/etc/drover", "/", "/root/x", "/usr", "/proc/self", "/dev/shm", "../x", "/srv/../etc", "/srv/a//b", "x"]
    + ["/srv/\n/x", "/var/lib", "/boot", "/srv/" + "x" * 300],
)
def test_folders_of_pools(world: World, path: str) -> None:
    data = {"name": "fine", "kind": "dir", "hosts": [world.host.pk], "target_path": path}
    before = counts()
    refused(world.client("administrator").post(reverse("storage:add_pool"), data), before)


@pytest.mark.parametrize(
    "address_",
    [
        "-oProxyCommand=id",
        "a b",
        "host;id",
        "$(id)",
        "root@host",
        "host:22",
        "http://host",
        "10.0.0",
        "[::1]",
        "a" * 300,
    ],
)
def test_addresses_of_hosts(world: World, address_: str) -> None:
    before = counts()
    refused(world.client("administrator").post(reverse("hosts:add"), {"address": address_, "name": "new"}), before)


@pytest.mark.parametrize("account", ["-l root", "root; id", "a" * 40, "Root\n"])
def test_accounts_of_hosts(world: World, account: str) -> None:
    before, data = counts(), {"address": "10.0.0.9", "name": "new", "username": account}
    refused(world.client("administrator").post(reverse("hosts:add"), data), before)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x/y",
        "gopher://x",
        "http://",
        "http://u:p@x/y",
        "http://x/\na",
        "//x/y",
        "http://[::1",
    ]
    + [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/x",
        "http://127.0.0.1:8000/x",
        "http://localhost/x",
    ]
    + [
        "http://0.0.0.0/x",
        "http://[::1]/x",
        "http://2130706433/x",
        "http://0x7f.1/x",
        "http://[::ffff:169.254.169.254]/",
    ]
    + ["http://metadata.google.internal/x", "-o/etc/passwd"],
)
def test_addresses_of_images(world: World, url: str) -> None:
    data = {"url": url, "name": "new", "version": "1", "pool": world.pool.pk}
    before = counts()
    refused(world.client("operator").post(reverse("storage:import"), data), before)


@pytest.mark.parametrize("size", ["0", "-1", "1000000000000000000", "1e400", "NaN", "x", "", "²", "Infinity"])
def test_sizes(world: World, size: str) -> None:
    client, vm, before = world.client("administrator"), off(world), counts()
    refused(client.post(reverse("vms:disk", args=[vm.uuid, "vda"]), {"size_bytes": size}), before)
    refused(client.post(reverse("vms:resize", args=[vm.uuid]), {"vcpus": size, "memory_bytes": size}), before)
    volume = {"name": "new", "size": size, "format": "raw"}
    refused(client.post(reverse("storage:add_volume", args=[world.pool.pk]), volume), before)


@pytest.mark.parametrize(
    "change",
    [
        {"address": "10.0.0.0/99"},
        {"address": "x"},
        {"address": "10.0.0.0/24; id"},
        {"name": "</name>"},
        {"bridge": "a b"},
    ]
    + [{"dhcp_first": "10.9.9.9"}, {"mode": "<forward/>"}, {"domain": "a b"}],
    ids=repr,
)
def test_networks(world: World, change: dict[str, Any]) -> None:
    data = {"name": "lab", "mode": "nat", "address": "10.44.0.1/24", "hosts": [world.host.pk], **change}
    before = counts()
    answer = world.client("administrator").post(reverse("hosts:network_add"), data)
    assert answer.status_code < 500
    if answer.status_code != 422:  # a field this form does not have: then it must not have reached anything
        assert not any(value in str(job.params) for job in Job.objects.all() for value in change.values())
    else:
        refused(answer, before)


def test_names_that_others_gave_are_shown_escaped(world: World) -> None:
    """A VM adopted from a host may have any name, and a guest any address: nothing of it is markup."""
    evil = "<img src=x onerror=alert(1)>"
    Vm.objects.update(name=evil, title=evil, description=evil, addresses=[evil], address=evil)
    Host.objects.update(last_error=evil, hostname=evil)
    Host.objects.filter(pk=world.host.pk).update(name=evil)
    Job.objects.update(title=evil, error=evil, step=evil, commands=[evil], params={"a": evil}, technical=evil)
    Pool.objects.update(name=evil)
    client = world.client("administrator")
    for name, row in TABLE.items():
        if "GET" in row.methods:
            assert b"<img src=x" not in client.get(address(name, row, world)).content, name


def test_no_nul_reaches_a_database(world: World) -> None:
    """SQLite bears it, PostgreSQL ends the request with an error."""
    client = world.client("administrator")
    for page in ("/vms/?q=a%00b", "/search?q=%00", "/jobs/?q=%00", "/api/v1/images/?name=%00"):
        assert client.get(page).status_code == 400
    assert client.get("/vms/?q=a%2500b").status_code == 200
