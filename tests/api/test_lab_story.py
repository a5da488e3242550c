"""A cluster from nothing by API alone, on a real host: add it, pool, network, images by upload and address, a VM."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.labkit import Lab
from tests.product import ApiError, Product
from tests.storage.webserver import serving

pytestmark = pytest.mark.lab
HOST, MIB, PIECE = "vmhost3", 1024 * 1024, 4 * 1024 * 1024
SNEAKY = "sneaky.drover.test"


@pytest.fixture
def product(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A Drover that knows no host yet. Its key goes off the host with it."""
    product = Product(tmp_path_factory.mktemp("api"))
    try:
        yield product.start()
        for host in product.api("GET", "/hosts/"):
            product.done(product.api("DELETE", f"/hosts/{host['id']}", {"name": host["name"]}))
    finally:
        product.stop()


def do(product: Product, path: str, body: Any = None, method: str = "POST") -> dict[str, Any]:
    return product.done(product.api(method, path, body))


def add_host(product: Product, lab: Lab) -> int:
    key = int(do(product, "/hosts/", {"address": lab.address(HOST), "name": HOST})["target_key"])
    offered = product.api("GET", f"/hosts/{key}/setup")["offered"]
    assert any(
        one["fingerprint"] in lab.ssh(HOST, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub") for one in offered
    )
    assert do(product, f"/hosts/{key}/pin", {"fingerprints": [one["fingerprint"] for one in offered]})["result"] == {
        "let_in": False
    }
    wrong = product.wait_job(product.api("POST", f"/hosts/{key}/install-key", {"password": "not this one"}))
    assert (wrong["state"], wrong["commands"] != []) == ("failed", True)
    do(product, f"/hosts/{key}/install-key", {"password": lab.facts["hosts"][HOST]["password"]})
    look = product.api("GET", f"/jobs/?operation=hosts.preflight&target_key={key}")["items"][0]
    product.done(look)
    checks = product.api("GET", f"/hosts/{key}/setup")["checks"]
    assert [check for check in checks if check["level"] == "problem"] == []
    do(product, f"/hosts/{key}/actions/accept")
    until = time.monotonic() + 30
    while product.api("GET", f"/hosts/{key}")["state"] != "up":  # as soon as it is watched
        assert time.monotonic() < until
        time.sleep(0.2)
    return key


def upload(product: Product, data: bytes, fields: dict[str, Any]) -> dict[str, Any]:
    """In parts, as docs/api.md shows it."""
    begun = product.api("POST", "/uploads/", {**fields, "file_name": "tiny.qcow2", "size_bytes": len(data)})
    at = 0
    while at < len(data):
        url = f"{product.url}/api/v1/uploads/{begun['id']}"
        request = urllib.request.Request(url, data=data[at : at + PIECE], method="PUT")
        request.add_header("Authorization", f"Bearer {product.token}")
        request.add_header("Upload-Offset", str(at))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                at = json.loads(answer.read())["accepted"]
        except HTTPError as later:
            if later.code not in {409, 429, 503}:
                raise
            told = json.loads(later.read())
            at = told.get("accepted", at)
            time.sleep(told.get("retry_after_s", 0))
    return product.done(int(begun["job_id"]))


def test_the_whole_story(product: Product, lab: Lab) -> None:
    host = add_host(product, lab)
    try:
        tell_it(product, lab, host)
    finally:
        lab.ssh(HOST, f"sed '/{SNEAKY}/d' /etc/hosts > /tmp/hosts && cat /tmp/hosts > /etc/hosts; rm -rf /srv/api")


def tell_it(product: Product, lab: Lab, host: int) -> None:
    pool = do(product, "/pools/", {"name": "api", "kind": "dir", "target_path": "/srv/api", "hosts": [host]})
    pool_id = int(pool["target_key"])
    network = do(product, "/networks/", {"name": "api", "cidr": "192.168.178.0/24", "hosts": [host]})["target_key"]
    tiny = Path(lab.facts["images"]["tiny"]).read_bytes()
    image = {"name": "uploaded", "version": "1", "pool": pool_id}
    key = int(upload(product, tiny, image)["target_key"])
    do(product, f"/images/{key}", {"name": "tiny"}, "PATCH")
    with serving(lab.facts["gateway"]) as server:
        checksum = server.put("/tiny.qcow2", tiny)
        wish = {**image, "name": "fetched", "checksum": checksum}
        lab.ssh(HOST, f"echo '127.0.0.1 {SNEAKY}' >> /etc/hosts")
        inside = product.wait_job(product.api("POST", "/images/from-url", {**wish, "url": f"http://{SNEAKY}/x"}))
        assert (inside["state"], f"{SNEAKY} leads to 127.0.0.1" in inside["error"]) == ("failed", True)
        fetched = do(product, "/images/from-url", {**wish, "version": "2", "url": server.url("/tiny.qcow2")})
        sums = {one["checksum"] for one in product.api("GET", "/images/") if one["state"] == "ready"}
        assert sums == {f"sha256:{checksum}"}
    vm = {"name": "by-api", "image": "tiny", "pool": pool_id, "memory_bytes": 160 * MIB, "nics": [{"network": "api"}]}
    uuid = do(product, "/vms/", vm)["target_key"]
    assert product.api("GET", f"/vms/{uuid}")["state"] == "running"
    for method, path, body in (
        ("POST", f"/networks/{network}/actions/stop", {}),
        ("POST", f"/pools/{pool_id}/actions/stop", {"hosts": [host]}),
        ("DELETE", f"/images/{key}", {}),
    ):
        with pytest.raises(ApiError, match="by-api") as refused:
            product.api(method, path, body)
        assert refused.value.status == 409
    do(product, f"/vms/{uuid}/actions/force-off")
    paths = [
        disk["path"] for disk in product.api("GET", f"/vms/{uuid}")["hardware"]["disks"] if disk["target"] == "vda"
    ]
    do(product, f"/vms/{uuid}", {"disks": paths}, "DELETE")
    for one in (key, int(fetched["target_key"])):
        do(product, f"/images/{one}", None, "DELETE")
    do(product, f"/networks/{network}/actions/remove")
    do(product, f"/pools/{pool_id}", None, "DELETE")
    assert [one for one in product.api("GET", "/pools/") if one["name"] == "api"] == []
