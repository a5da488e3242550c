"""Hostile input to the API: every answer is a refusal that names the field, never our error, nothing half-made."""

import json
import math
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hosts.models import Host, Network
from jobs.models import Job
from storage.models import Image, Pool, Upload
from tests.security.table import API, API_BODIES
from tests.security.test_rights import undone
from tests.security.world import World
from vms.models import MacAddress, Vm

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]
URL = "/api/v1/vms/"
NASTY = [
    "",
    " ",
    "a b",
    "a;reboot",
    "$(reboot)",
    "`id`",
    "a'b\"c",
    "a\nb",
    "a\x00b",
    "a\r\nHost: x",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "-rf",
    "--help",
    "a,b=c",
    "<script>alert(1)</script>",
    "</name><devices/>",
    "&lol;",
    "]]>",
    "{{ 7*7 }}",
    "%s%n",
    "𝒩🚀",
    "ümlaut",
    "\u202egnp.exe",
    "\ud800",
    "x" * 300,
    "42",
    "6f3c6f0e-3a0c-4b57-9d15-5f0a53e8d1c1",
]
FINE_WITH_A_NUMBER = {"42", "6f3c6f0e-3a0c-4b57-9d15-5f0a53e8d1c1"}  # "42-01" is no number any more
SPOILS = ["", "a\x00b", "../../etc/passwd", "<script>", "\ud800", "𝒩🚀", "x" * 5000, 0, -1, 1.5]
SIZES = [0, -1, 10**18, -(10**18), 10**30, 2**63, 1.5, "lots", True, None, [], {}]


def wish(world: World, **more: Any) -> dict[str, Any]:
    good = {
        "name": "fine",
        "image": None,
        "pool": world.pool.pk,
        "disk_bytes": 1024**3,
        "memory_bytes": 256 * 1024**2,
        "nics": [{"bridge": "br0"}],
    }
    return {**good, **more}


def post(world: World, body: Any, *, raw: bytes | None = None) -> Any:
    data = json.dumps(body).encode() if raw is None else raw
    return world.client("operator").post(URL, data, content_type="application/json")


def refused(world: World, answer: Any, field: str = "") -> dict[str, Any]:
    """A 4xx with words (and the field), and nothing was made."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.content[:300])
    problem: dict[str, Any] = answer.json()
    assert problem["detail"], problem
    fields = [problem.get("field", "")] + [one["field"] for one in problem.get("errors", [])]
    assert not field or any(field in one for one in fields), problem
    assert "Traceback" not in answer.content.decode()
    assert Vm.objects.count() == 1
    assert Job.objects.count() == 2
    assert not MacAddress.objects.exists()
    return problem


def test_the_good_wish_is_taken(world: World) -> None:
    assert post(world, wish(world)).status_code == 202
    assert Vm.objects.count() == 2


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_names(world: World, name: str) -> None:
    refused(world, post(world, wish(world, name=name)), "name")
    if name not in FINE_WITH_A_NUMBER:
        refused(world, post(world, wish(world, name=name, count=3)), "name")


@pytest.mark.parametrize("field", ["vcpus", "memory_bytes", "disk_bytes", "max_vcpus", "count"])
@pytest.mark.parametrize("size", SIZES, ids=repr)
def test_sizes(world: World, field: str, size: Any) -> None:
    answer = post(world, wish(world, **{field: size}))
    if size is None and field == "max_vcpus":
        assert answer.status_code == 202
    elif size is True or (size == 0 and field == "disk_bytes"):
        assert answer.status_code in {202, 409, 422}  # JSON's true is read as 1; 0 is "as large as the image"
    else:
        refused(world, answer, field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", "\ud800"),
        ("image", "a\x00b"),
        ("image", 10**30),
        ("image", "nothing-of-the-kind"),
        ("iso", 10**30),
        ("pool", 10**30),
        ("pool", -1),
        ("host", 10**30),
        ("host", 0),
        ("owner", 10**30),
        ("firmware", "../../bios"),
        ("cpu", "<cpu/>"),
        ("title", "a\nb"),
        ("title", "\ud800"),
        ("title", "x" * 300),
        ("description", "\x00"),
        ("description", "x" * 9000),
        ("tags", ["a,b"]),
        ("tags", ["\ud800"]),
        ("tags", ["x" * 300]),
        ("tags", [f"t{n}" for n in range(100)]),
        ("nics", [{"bridge": "br0", "network": "default"}]),
        ("nics", [{"bridge": "br0; reboot"}]),
        ("nics", [{"network": "\ud800"}]),
        ("nics", [{"bridge": "br0", "mac": "not-a-mac"}]),
        ("nics", [{"bridge": "br0", "mac": "01:00:5e:00:00:01"}]),
        ("nics", [{"bridge": "br0", "mac": "52:54:00:aa:bb:cc"}, {"bridge": "br0", "mac": "52-54-00-AA-BB-CC"}]),
        ("nics", [{"bridge": "br0", "address": "10.0.0.5"}]),
        ("nics", [{"bridge": "br0", "address": "10.0.0.5/99"}]),
        ("nics", [{"bridge": "br0", "address": "10.0.0.0/24"}]),
        ("nics", [{"bridge": "br0", "address": "999.0.0.1/24"}]),
        ("nics", [{"bridge": "br0", "address": "fe80::1%eth0/64"}]),
        ("nics", [{"bridge": "br0", "address": "10.0.0.5/24", "gateway": "10.9.0.1"}]),
        ("nics", [{"bridge": "br0", "address": "10.0.0.5/24", "gateway": "fe80::1%eth0"}]),
        ("nics", [{"bridge": "br0", "dns": ["8.8.8.8; reboot"]}]),
        ("nics", [{"bridge": "br0"}] * 200),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_fields(world: World, field: str, value: Any) -> None:
    refused(world, post(world, wish(world, **{field: value})), field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", "root; id"),
        ("user", "x" * 300),
        ("ssh_keys", ["ssh-ed25519 AAAA\nssh-rsa BBBB"]),
        ("ssh_keys", ['command="reboot" ssh-ed25519 AAAA']),
        ("ssh_keys", ["-----BEGIN OPENSSH PRIVATE KEY-----"]),
        ("password_hash", "plain"),
        ("password_hash", "$6$x$y\nroot: hacked"),
        ("hostname", "a.b"),
        ("hostname", "a\nb"),
        ("domain", "lab..org"),
        ("packages", ["vim; rm -rf /"]),
        ("packages", ["--yes"]),
        ("user_data", "#cloud-config\n: : :\n\t- ["),
        ("user_data", "just words"),
        ("user_data", "#cloud-config\na: &a [*a]\nb: \ud800"),
        (
            "user_data",
            "#cloud-config\n"
            + "a: &a ['lol']\n"
            + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
        ),
        ("user_data", "#cloud-config\nx: !!python/object/apply:os.system ['id']\n"),
        ("user_data", "#cloud-config\n" + "[" * 5000),
        ("user_data", "#!/bin/sh\n" + "x" * 5_000_000),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_first_boot(world: World, field: str, value: Any) -> None:
    name = "password" if field == "password_hash" else field
    refused(world, post(world, wish(world, first_boot={field: value})), name)


def test_a_name_or_mac_in_use(world: World) -> None:
    refused(world, post(world, wish(world, name=world.vm.name)), "name")
    taken = MacAddress.objects.create(mac="52:54:00:aa:bb:cc", vm=world.vm)
    for written in ("52:54:00:aa:bb:cc", "52-54-00-AA-BB-CC", " 52:54:00:AA:bb:cc "):
        answer = post(world, wish(world, nics=[{"bridge": "br0", "mac": written}]))
        assert answer.status_code == 409, written
        assert "mac" in answer.json()["field"]
    taken.delete()
    answer = post(world, wish(world, nics=[{"bridge": "br0", "mac": " 52-54-00-AA-bb-cc "}]))
    assert answer.status_code == 202
    assert MacAddress.objects.get().mac == "52:54:00:aa:bb:cc"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"name":' * 50_000,
        b'{"name": "x", "vcpus": NaN}',
        b'{"name": "x", "vcpus": Infinity}',
        b'{"name": "x", "vcpus": ' + b"9" * 10_000 + b"}",
        b'{"name": "x", "surprise": 1, "memory_bytes": "a"}',
        b'{"name": {"$gt": ""}}',
    ],
    ids=lambda raw: ascii(raw)[:40],
)
def test_bodies(world: World, raw: bytes) -> None:
    refused(world, post(world, None, raw=raw))


def test_a_huge_body(world: World) -> None:
    answer = post(world, None, raw=b'{"name": "' + b"x" * (21 * 1024 * 1024) + b'"}')
    assert answer.status_code in {400, 413, 422}
    assert Vm.objects.count() == 1


@pytest.mark.parametrize(
    "path",
    [
        "vms/?limit=-1",
        "vms/?limit=1000000000000000000000000",
        "vms/?offset=-1",
        "vms/?offset=1000000000000000000000000",
        "vms/?host=1000000000000000000000000",
        "vms/?host=x",
        "vms/?name=%00",
        "vms/?tag=%ff%fe",
        "vms/not-a-uuid",
        "vms/../../etc/passwd",
        "jobs/999999999999999999999999999999",
        "jobs/-1",
        "jobs/?state=%00",
        "jobs/?limit=99999999999999999999",
        "hosts/99999999999999999999",
        "pools/99999999999999999999",
        "images/?name=%00",
    ],
)
def test_queries(world: World, path: str) -> None:
    assert world.client("operator").get(f"/api/v1/{path}").status_code < 500


@pytest.mark.parametrize(
    "body",
    [
        {"host": 10**30},
        {"host": "vmhost2"},
        {"mode": "teleport"},
        {"bandwidth_mib": -1},
        {"bandwidth_mib": 10**18},
        {"timeout_s": 10**18},
        {"on_timeout": "explode"},
        {"tls": True, "tunnelled": True},
    ],
    ids=ascii,
)
def test_migrate(world: World, body: dict[str, Any]) -> None:
    url = f"{URL}{world.vm.uuid}/migrate"
    refused(world, world.client("operator").post(url, json.dumps(body), content_type="application/json"))


@pytest.mark.parametrize("disks", ["own", ["/etc/passwd"], ["../x"], [5], [None], {"a": 1}, ["\ud800"]], ids=ascii)
def test_delete_only_its_own_disks(world: World, disks: Any) -> None:
    Vm.objects.update(observed_state="off")
    client: Client = world.client("operator")
    body = json.dumps({"disks": disks})
    answer = client.delete(f"{URL}{world.vm.uuid}", body, content_type="application/json")
    refused(world, answer)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NIC = st.fixed_dictionaries({}, optional=dict.fromkeys(("network", "bridge", "mac", "address", "gateway", "dns"), JSON))
BOOT = ("enabled", "user", "ssh_keys", "password_hash", "hostname", "domain", "packages", "user_data")
FIELDS = {
    **dict.fromkeys(("name", "count", "title", "description", "owner", "tags", "image", "iso", "host"), JSON),
    **dict.fromkeys(("disk_bytes", "vcpus", "max_vcpus", "memory_bytes", "firmware", "cpu", "start"), JSON),
    "nics": JSON | st.lists(NIC, max_size=3),
    "first_boot": JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(BOOT, JSON)),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(more=st.fixed_dictionaries({}, optional=FIELDS))
def test_any_wish_at_all(world: World, more: dict[str, Any]) -> None:
    """Never an error of ours, whatever is in the fields."""
    text = json.dumps({**wish(world), **more})
    answer = post(world, None, raw=text.encode())
    assert answer.status_code in {202, 400, 409, 422}, (answer.status_code, answer.content[:500])
    assert math.isfinite(len(answer.content))


def fitting(body: dict[str, Any], world: World) -> dict[str, Any]:
    """The good body with the numbers of things that are there."""
    keys = {"pool": world.pool.pk, "volume": world.volume.pk, "host": world.host.pk, "hosts": [world.host.pk]}
    return {field: keys.get(field, value) if value else value for field, value in body.items()}


def spoiled(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The body with one field after the other replaced by everything that does not belong there."""
    found = []
    for field, good in body.items():
        bad = [[one] for one in (10**30, -1, "\ud800", None)] if isinstance(good, list) else SPOILS
        found += [{**body, field: one} for one in [*bad, 10**30, None, {}]]
    return found


@pytest.mark.parametrize("name", sorted(set(API_BODIES) - {"create_vm", "install_key", "migrate_vm"}))
def test_every_call_with_every_field_spoiled(world: World, name: str) -> None:
    """Never an error of ours; and what is refused leaves no row behind."""
    row, wrong = API[name], list[Any]()
    client = world.client("operator" if row.only else "administrator")
    url = reverse(f"api:{name}", args=row.values(world))
    for body in spoiled(fitting(API_BODIES[name], world)):
        with undone():
            before = rows()
            data = json.dumps(body)
            answer = client.generic(row.methods[0], url, data, content_type="application/json")
            if answer.status_code >= 500:
                wrong.append((answer.status_code, ascii(body)))
            elif answer.status_code >= 400:
                problem = answer.json()
                is_said = bool(problem["detail"]) and answer.headers["Content-Type"] == "application/problem+json"
                wrong += [] if is_said and rows() == before else [(answer.status_code, ascii(body), problem)]
    assert wrong == []


def rows() -> list[int]:
    return [model.objects.count() for model in (Host, Network, Pool, Image, Upload, Vm, Job)]
