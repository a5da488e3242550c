"""docs/api.md, run as it stands: from nothing to VMs and back, by curl and by Python, against a running Drover.

Only what differs here is put in its place: addresses of hosts and of files to download.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.labkit import Lab
from tests.product import ROOT, ApiError, Product
from tests.storage.webserver import Server, serving
from tests.wskit import Refusal, WebSocket

BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BOOKWORM = "https://cloud.debian.org/images/cloud/bookworm/latest"
FILE = "debian-12-generic-amd64.qcow2"
PART = "docs"  # of the lab's shared volume
# what one block leaves behind, the next one finds: as in one terminal
SHELL = """set -euo pipefail
manage.py() {{ (cd {root} && .venv/bin/python manage.py "$@"); }}
[ ! -f state ] || . ./state
{block}
{{ declare -p | grep -v '^declare -[a-z]*r' | sed 's/^declare --/declare -g/'; declare -f; }} > state
"""


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / "docs" / "api.md").read_text())


def test_each_job_has_both() -> None:
    """Curl and Python, in every section that is about doing something."""
    sections = re.split(r"^## ", (ROOT / "docs" / "api.md").read_text(), flags=re.MULTILINE)[1:]
    kinds = {one.splitlines()[0]: {kind for kind, _text in BLOCK.findall(one)} for one in sections}
    assert {name for name, found in kinds.items() if len(found) < 2} == {"Errors and limits", "Networks", "Audit"}


@pytest.fixture
def product(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A Drover that knows no host yet. What it made on the hosts goes with it."""
    product = Product(tmp_path_factory.mktemp("docs"))
    gluster = lab.facts["gluster"]
    mount = f"mkdir -p /mnt/whole && mount -t glusterfs {gluster['server']}:/{gluster['volume']} /mnt/whole"
    lab.ssh("vmhost1", f"{mount} && rm -rf /mnt/whole/{PART} && mkdir /mnt/whole/{PART} && umount /mnt/whole")
    try:
        yield product.start()
    finally:
        clean(product)
        product.stop()


def clean(product: Product) -> None:
    """Also after an example that failed half-way."""
    if not product.answers():
        return
    for vm in product.api("GET", "/vms/")["items"]:
        if not vm["name"].startswith(("shop-", "web-0", "db-0", "lena", "net-lena")):
            continue
        if vm["state"] != "off":
            product.wait_job(product.api("POST", f"/vms/{vm['uuid']}/actions/force-off"))
        product.wait_job(product.api("DELETE", f"/vms/{vm['uuid']}", {"disks": []}))
    for path, name in (("networks", "lan"), ("pools", "vms")):
        for one in (one for one in product.api("GET", f"/{path}/") if one["name"] == name):
            hosts = {"hosts": [there["host_id"] for there in one["presences"]]}
            with suppress(ApiError):  # a VM of a failed example may still use it
                product.wait_job(product.api("POST", f"/{path}/{one['id']}/actions/remove", hosts))
    for host in [*product.api("GET", "/hosts/"), *product.api("GET", "/hosts/?managed=false")]:
        product.wait_job(product.api("DELETE", f"/hosts/{host['id']}", {"name": host["name"], "forget_vms": True}))


def here(text: str, product: Product, lab: Lab, server: Server) -> str:
    gluster = lab.facts["gluster"]
    for example, real in {
        "http://127.0.0.1:8000": product.url,
        "10.0.0.11": lab.address("vmhost1"),
        "10.0.0.12": lab.address("vmhost2"),
        "10.0.0.5": gluster["server"],
        '"path": "vms"': f'"path": "{gluster["volume"]}/{PART}"',
        BOOKWORM: server.url(""),
    }.items():
        text = text.replace(example, real)
    return text


def run(kind: str, text: str, folder: Path, environment: dict[str, str]) -> str:
    words = [sys.executable, "-c", text] if kind == "python" else ["bash", "-c", SHELL.format(root=ROOT, block=text)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{text}\n--- it said:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.lab
def test_the_page_from_top_to_bottom(product: Product, lab: Lab, tmp_path: Path) -> None:
    tiny = Path(lab.facts["images"]["tiny"]).read_bytes()
    shutil.copy(lab.facts["images"]["tiny"], tmp_path / "disk.qcow2")
    said = []
    environment = {**product.environment, "API": f"{product.url}/api/v1"}
    passwords = {"sh": lab.password("vmhost1"), "python": lab.password("vmhost2")}
    with serving(lab.facts["gateway"]) as server:
        server.put(f"/{FILE}", tiny)
        server.put("/SHA512SUMS", f"{hashlib.sha512(tiny).hexdigest()}  {FILE}\n".encode())
        for kind, text in blocks():
            real = here(text, product, lab, server)
            if "def ended" in real:
                (tmp_path / "drover.py").write_text(real)
            said.append(run(kind, real, tmp_path, environment | kept(tmp_path) | {"PASSWORD": passwords[kind]}))
            if "console?kind=serial" in text:
                talk(said[-1].strip(), kept(tmp_path)["TOKEN"])
    page = "\n".join(said)
    for words in (
        "db-02 running",
        " % ",
        "one is enough for now",
        '"state": "ready"',
        "lena 90",
        "lena net-lena running",
    ):
        assert words in page, words
    assert product.api("GET", "/vms/?name=shop-01")["count"] == 0


def talk(url: str, token: str) -> None:
    """The address is good once, and for this token."""
    where = urlsplit(url)
    server, path = f"http://{where.netloc}", f"{where.path}?{where.query}"
    with pytest.raises(Refusal):
        WebSocket(server, path, origin=None, token=f"{token}x")
    WebSocket(server, path, origin=None, token=token).close()
    with pytest.raises(Refusal):
        WebSocket(server, path, origin=None, token=token)


def kept(folder: Path) -> dict[str, str]:
    """What the shell has set, for the Python beside it: as after `export`."""
    state = folder / "state"
    text = state.read_text() if state.exists() else ""
    return dict(re.findall(r'^declare -\S+ (TOKEN|LENA)="([^"]*)"$', text, re.MULTILINE))
