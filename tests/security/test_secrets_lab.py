"""The running product: console tickets against thieves, and where secrets must never be found."""

import base64
import json
import os
import struct
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clusterkit import Cluster
from tests.product import PASSWORD, ApiError
from tests.webkit import WebPerson
from tests.wskit import BINARY, Refusal, WebSocket

pytestmark = pytest.mark.lab
VM_PASSWORD = "Hun7er-tWo-geheim"
USER_DATA_SECRET = "s3cr3t-in-user-data"
HOST_PASSWORD = "n0t-the-right-one-9"


@pytest.fixture
def person(cluster: Cluster) -> WebPerson:
    return WebPerson(cluster.product.url).log_in()


@pytest.fixture(scope="module")
def vm(cluster: Cluster) -> Iterator[str]:
    uuid = cluster.create(f"guarded-{time.monotonic_ns() % 10**6}", host="vmhost1")
    yield uuid
    cluster.remove(uuid)


def ticket(person: WebPerson, vm: str, kind: str = "vnc") -> str:
    answer = person.post(f"/vms/{vm}/console/ticket?kind={kind}")
    assert answer.status == 200, answer.body
    return str(json.loads(answer.body)["path"])


def cookie(person: WebPerson) -> str:
    return f"drover_session={person.cookie('drover_session')}"


def refused(cluster: Cluster, path: str, **how: str | None) -> bool:
    try:
        WebSocket(cluster.product.url, path, **how).close()  # type: ignore[arg-type]
    except Refusal as refusal:
        return refusal.status in {400, 403, 405}
    except OSError:
        return True
    return False


def test_console_works_once_and_only_for_its_owner(cluster: Cluster, person: WebPerson, vm: str) -> None:
    path = ticket(person, vm)
    thief = WebPerson(cluster.product.url).log_in()
    assert refused(cluster, path)  # no cookie
    assert refused(cluster, path, cookie=cookie(thief))  # another session of the same person
    assert refused(cluster, path, cookie="drover_session=")
    assert refused(cluster, path, cookie=cookie(person), origin="http://evil.example")
    assert refused(cluster, path, cookie=cookie(person), origin=None)
    assert refused(cluster, path, cookie=cookie(person), origin="null")
    assert refused(cluster, "/console-socket", cookie=cookie(person))
    assert refused(cluster, "/console-socket?ticket=" + "x" * 4000, cookie=cookie(person))
    for extra in ("&host=10.0.0.1&port=22", "&token=10.0.0.1:22", "&target=127.0.0.1:22"):
        assert refused(cluster, f"/console-socket?ticket=x{extra}", cookie=cookie(person))
    good = WebSocket(cluster.product.url, path, cookie=cookie(person))
    opcode, greeting = good.recv()
    assert (opcode, greeting[:4]) == (BINARY, b"RFB ")
    assert refused(cluster, path, cookie=cookie(person)), "a ticket works twice"
    good.close()
    assert path.partition("ticket=")[2] not in cluster.product.log()


def test_a_ticket_dies_with_its_session(cluster: Cluster, vm: str) -> None:
    person = WebPerson(cluster.product.url).log_in()
    path, before = ticket(person, vm), cookie(person)
    assert person.post("/logout").status == 302
    assert refused(cluster, path, cookie=before)


OPAL = "opal@example"


@pytest.fixture
def opal(cluster: Cluster) -> Iterator[WebPerson]:
    """An operator who may be changed."""
    make = f"from access.models import User; User.objects.create_user({OPAL!r}, password={PASSWORD!r}, role='operator')"
    cluster.product.manage("shell", "-c", make)
    yield WebPerson(cluster.product.url).log_in(OPAL)
    cluster.product.manage(
        "shell", "-c", f"from access.models import User; User.objects.get(username={OPAL!r}).delete()"
    )


def change(cluster: Cluster, **values: object) -> None:
    words = f"from access.models import User; User.objects.filter(username={OPAL!r}).update(**{values!r})"
    cluster.product.manage("shell", "-c", words)


def console_of(cluster: Cluster, person: WebPerson, vm: str, kind: str = "vnc") -> WebSocket:
    return WebSocket(cluster.product.url, ticket(person, vm, kind), cookie=cookie(person), timeout_s=15)


def live_of(cluster: Cluster, person: WebPerson) -> WebSocket:
    return WebSocket(cluster.product.url, "/live", cookie=cookie(person), timeout_s=15)


def test_logging_out_ends_what_is_open(cluster: Cluster, opal: WebPerson, person: WebPerson, vm: str) -> None:
    screen, other, live = console_of(cluster, opal, vm), console_of(cluster, person, vm), live_of(cluster, opal)
    assert screen.recv()[1][:4] == b"RFB "
    began = time.monotonic()
    assert opal.post("/logout").status == 302
    assert (screen.close_code(), live.close_code()) == (4403, 4401)
    assert time.monotonic() - began < 8
    assert other.recv()[1][:4] == b"RFB ", "another person's console stays"
    other.close()


@pytest.mark.parametrize(("values", "code"), [({"role": "user"}, 4403), ({"is_active": False}, 4401)], ids=str)
def test_losing_the_right_ends_what_is_open(
    cluster: Cluster, opal: WebPerson, vm: str, values: dict[str, object], code: int
) -> None:
    open_ = [console_of(cluster, opal, vm), console_of(cluster, opal, vm, "serial"), live_of(cluster, opal)]
    change(cluster, **values)
    assert [one.close_code() for one in open_] == [4403, 4403, code]
    assert opal.post(f"/vms/{vm}/console/ticket").status in {302, 404}


def read_on(one: WebSocket) -> None:
    while True:
        one.recv()


def test_the_subprotocol_is_answered(cluster: Cluster, person: WebPerson, vm: str) -> None:
    """Browsers end a connection whose subprotocol the server does not name; static/js/serial.js asks for this one."""
    path = ticket(person, vm, "serial")
    line = WebSocket(cluster.product.url, path, cookie=cookie(person), protocol="binary")
    assert line.protocol == "binary"
    line.close()


def test_a_giant_message_ends_its_own_console_only(cluster: Cluster, person: WebPerson, vm: str) -> None:
    """A frame may announce 2^63 bytes: it is not gathered for ever."""
    giant, other = console_of(cluster, person, vm), console_of(cluster, person, vm)
    header = struct.pack("!BBQ", 0x82, 0x80 | 127, 1 << 40) + b"mask"

    def pour() -> None:
        with suppress(OSError):
            giant.socket.sendall(header)
            for _piece in range(1024):
                giant.socket.sendall(bytes(1 << 16))

    pouring = threading.Thread(target=pour, daemon=True)
    pouring.start()
    with pytest.raises(ConnectionError):  # and no time-out
        read_on(giant)
    giant.close()
    pouring.join(10)
    assert other.recv()[1][:4] == b"RFB "
    other.close()


def test_a_made_up_address_is_not_believed(cluster: Cluster, person: WebPerson, vm: str) -> None:
    """The audit of consoles says where a person was."""
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    request = urllib.request.Request(f"{cluster.product.url}/vms/{vm}/console/ticket", data=b"", headers=headers)
    request.add_header("Cookie", f"{cookie(person)}; drover_csrf={person.cookie('drover_csrf')}")
    request.add_header("X-CSRFToken", person.cookie("drover_csrf"))
    urllib.request.urlopen(request).close()
    words = "from vms.models import ConsoleSession; print(ConsoleSession.objects.first().address)"
    assert cluster.product.manage("shell", "-c", words).split()[-1] == "127.0.0.1"


def test_console_socket_serves_nothing_else(cluster: Cluster, person: WebPerson) -> None:
    assert person.get("/console-socket").status >= 400
    assert person.get("/console-socket/../etc/passwd").status >= 400


def test_cookies_and_front(cluster: Cluster, person: WebPerson) -> None:
    fresh = WebPerson(cluster.product.url)
    fresh.get("/login")
    answer = fresh.post("/login", {"username": "admin", "password": "correct horse 7"})
    cookies = {line.partition("=")[0]: line.lower() for line in answer.headers.get_all("Set-Cookie")}
    assert "httponly" in cookies["drover_session"]
    assert "samesite=lax" in cookies["drover_session"]
    assert "samesite=lax" in cookies["drover_csrf"]
    assert "nginx/" not in answer.headers.get("Server", "")
    assert person.get("/static/../manage.py").status >= 400
    assert person.get("/static/..%2f..%2fsecret_key").status >= 400
    assert person.get("/static/0123abcd/../../secret_key").status >= 400
    assert person.get("/static/0123abcd/%2e%2e/secret_key").status >= 400


def test_private_files_are_private(cluster: Cluster) -> None:
    var = cluster.product.var
    private = [var / "secret_key", var / "ssh" / "id_ed25519", var / "run" / "redis.sock", var / "run" / "web.sock"]
    private.append(var / "run" / "console.sock")
    for path in [var, *private]:
        reach = [one.stat().st_mode & 0o007 for one in (path, *path.parents) if one.is_relative_to(var)]
        assert 0 in reach, f"{path} is open to everybody"
    assert (var / "ssh" / "id_ed25519").stat().st_mode & 0o077 == 0


class Watcher(threading.Thread):
    """Looks at the arguments of every process of the machine, again and again, for one of the secrets."""

    def __init__(self, *secrets: str) -> None:
        super().__init__(daemon=True)
        self.secrets, self.found, self.over = [one.encode() for one in secrets], set[str](), threading.Event()

    def run(self) -> None:
        mine = os.getpid()
        while not self.over.wait(0.02):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and int(entry.name) != mine:
                    try:
                        line = (entry / "cmdline").read_bytes()
                    except OSError:
                        continue
                    self.found |= {line.decode(errors="replace") for secret in self.secrets if secret in line}


def places(var: Path) -> Iterator[tuple[str, bytes]]:
    """All that is at rest in Drover's folder: the database with its journal, logs, configuration, beat's file."""
    for path in var.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def kept_in_redis(var: Path) -> set[str]:
    """The names of secrets that wait for their jobs."""
    command = ["redis-cli", "-s", str(var / "run" / "redis.sock"), "--scan", "--pattern", "drover:secret:*"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_secrets_are_nowhere(cluster: Cluster, person: WebPerson) -> None:
    """A VM's password and user-data, and a host's password, are handed over once and found nowhere afterwards."""
    secrets = (VM_PASSWORD, USER_DATA_SECRET, HOST_PASSWORD)
    before = kept_in_redis(cluster.product.var)  # those of jobs that other tests killed fade out by themselves
    watcher = Watcher(*secrets)
    watcher.start()
    name = f"secret-{time.monotonic_ns() % 10**6}"
    form = {"name": name, "count": "1", "image": "latest:tiny", "pool": cluster.pool_id(), "vcpus": "1"}
    form |= {"memory_bytes": "160 MiB", "nics-0-source": "bridge:br0", "first_boot": "on", "user": "eva", "start": "on"}
    form |= {"password": VM_PASSWORD, "user_data": f"#cloud-config\nwrite_files:\n- content: {USER_DATA_SECRET}\n"}
    answer = person.post("/vms/create", form)
    assert answer.status == 302, answer.body[-3000:]
    uuid = answer.headers["Location"].split("/vms/")[1].strip("/")
    host_id = add_unknown_host(cluster, person)
    person.post(f"/hosts/{host_id}/setup/install-key", {"password": HOST_PASSWORD}, as_htmx=True)
    for job in cluster.product.api("GET", "/jobs/?limit=5")["items"]:
        cluster.product.wait_job(job["id"])
    watcher.over.set()
    watcher.join()
    assert watcher.found == set()
    pages = [f"/vms/{uuid}/", f"/vms/{uuid}/definition", f"/vms/{uuid}/jobs", f"/hosts/{host_id}/setup", "/vms/create"]
    pages += [f"/jobs/{job['id']}/" for job in cluster.product.api("GET", "/jobs/?limit=10")["items"]]
    found = [(page, secret) for page in pages for secret in secrets if secret in person.get(page).body]
    for path, data in places(cluster.product.var):
        for secret in secrets:
            if any(form in data for form in (secret.encode(), base64.b64encode(secret.encode()))):
                found.append((path, secret))
    assert found == []
    assert kept_in_redis(cluster.product.var) <= before, "a secret was not taken out of Redis"
    cluster.remove(uuid)
    person.post(f"/hosts/{host_id}/remove", {"name": ""})


def add_unknown_host(cluster: Cluster, person: WebPerson) -> int:
    """vmstorage, an SSH host of the lab that Drover does not have: probed and pinned, ready for the password."""
    data = {"name": f"new-{time.monotonic_ns() % 10**6}", "address": cluster.lab.address("vmstorage")}
    answer = person.post("/hosts/add", {**data, "transport": "ssh", "username": "root"})
    assert answer.status == 302, answer.body[-2000:]
    host_id = int(answer.headers["Location"].strip("/").split("/")[1])
    newest = cluster.product.api("GET", "/jobs/?operation=hosts.probe&limit=1")["items"][0]
    cluster.product.done(newest["id"])
    page = person.get(f"/hosts/{host_id}/setup").body
    prints = [piece.partition('"')[0] for piece in page.split('name="fingerprint" value="')[1:]]
    assert prints
    person.post(f"/hosts/{host_id}/setup/pin", {"fingerprint": prints})
    pinned = cluster.product.api("GET", "/jobs/?operation=hosts.pin&limit=1")["items"]
    if pinned:
        cluster.product.wait_job(pinned[0]["id"])
    return host_id


def test_without_login_nothing_is_told(cluster: Cluster, vm: str) -> None:
    nobody = WebPerson(cluster.product.url)
    for page in ("/", f"/vms/{vm}/", "/hosts/", "/jobs/1/"):
        assert nobody.get(page).status == 302
    with pytest.raises(ApiError, match="413"):
        cluster.product.api("POST", "/vms/", {"name": "x" * 40_000_000})
