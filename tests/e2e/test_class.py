"""A class of ten in the browser against the real lab: everybody has a VM, and all go back to the start."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clusterkit import MIB, Cluster
from tests.e2e.conftest import keep
from tests.e2e.steps import sign_in, window
from tests.product import PASSWORD

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
PUPILS = [f"pupil{number:02}" for number in range(1, 11)]
SIZES = {
    "vcpus": {"least": 1, "usual": 1, "most": 1},
    "memory_bytes": {"least": 64 * MIB, "usual": 96 * MIB, "most": 160 * MIB},
    "disk_bytes": {"least": 256 * MIB, "usual": 1024 * MIB, "most": 4096 * MIB},
}
OFFER = {
    "name": "Tiny Linux",
    "summary": "",
    "text": "",
    "position": 1,
    "image": "tiny",
    "network": "bridge:br0",
    "most_vms": 1,
    "user_data": "",
    "fields_text": "",
    "lease_days": 30,
    "most_lease_days": 60,
    "approval": "always",
    "groups": [],
    "people": [],
    **SIZES,
}


@pytest.fixture
def teacher(browser: Browser, cluster: Cluster, errors: list[str]) -> Iterator[Page]:
    """The manager of a group of ten, logged in; an offer is there."""
    product = cluster.product
    for name in ("tina", *PUPILS):
        product.api("POST", "/people", {"username": name, "role": "user", "password": PASSWORD})
    group = product.api("POST", "/groups", {"name": "Networks", "description": ""})["id"]
    product.api("POST", f"/groups/{group}/members", {"usernames": PUPILS})
    product.api("POST", f"/groups/{group}/members", {"usernames": ["tina"], "is_manager": True})
    product.api("POST", "/offers", {**OFFER, "pool": cluster.pool_id()})
    with window(browser) as context:
        page = sign_in(context.new_page(), product, errors, "tina")
        page.goto(f"{product.url}/people/groups/{group}/")
        yield page


def test_a_class_of_ten(teacher: Page, browser: Browser, cluster: Cluster, errors: list[str], tmp_path: Path) -> None:
    product, page = cluster.product, teacher
    try:
        page.get_by_role("link", name="New class").click()
        page.fill("[name=name]", "Routing")
        expect(page.locator("#outlook")).to_contain_text("Routing-pupil01, Routing-pupil02")
        page.locator("#make-class").click()
        page.wait_for_url(re.compile(r"/classes/\d+/$"))
        expect(page.locator(".seat")).to_have_count(10)
        expect(page.locator("#class-head .page-sub")).to_contain_text("10 running", timeout=180_000)
        found = the_class(cluster, lambda one: all(seat["has_start"] for seat in one["seats"]))
        assert {seat["user"]: seat["name"] for seat in found["seats"]} == {one: f"Routing-{one}" for one in PUPILS}
        expect(page.locator(".seat img").first).to_be_visible(timeout=60_000)
        theirs(browser, cluster, found, errors)
        back_to_the_start(page, cluster, found)
        given_until(page, cluster)
        ended(page, cluster)
    except BaseException:
        keep(page, tmp_path, "teacher")
        raise
    finally:
        for vm in product.api("GET", "/vms/?limit=100")["items"]:
            if vm["name"].startswith("Routing-"):
                cluster.remove(vm["uuid"])
    assert errors == []


def the_class(cluster: Cluster, is_so: Any, within_s: float = 180) -> dict[str, Any]:
    """As the API tells it, when it is so."""
    until = time.monotonic() + within_s
    while True:
        pk = cluster.product.api("GET", "/classes")["items"][0]["id"]
        found: dict[str, Any] = cluster.product.api("GET", f"/classes/{pk}")
        if is_so(found):
            return found
        assert time.monotonic() < until, found
        time.sleep(1)


def theirs(browser: Browser, cluster: Cluster, found: dict[str, Any], errors: list[str]) -> None:
    """One of them has their VM in My VMs, and nothing of the class."""
    with window(browser) as context:
        page = sign_in(context.new_page(), cluster.product, errors, PUPILS[3])
        expect(page.locator(".my-card")).to_have_count(1)
        expect(page.locator(".my-card h2")).to_contain_text(f"Routing-{PUPILS[3]}")
        answer = page.goto(f"{cluster.product.url}/classes/{found['id']}/")
        assert answer is not None
        assert answer.status == 404


def back_to_the_start(page: Page, cluster: Cluster, found: dict[str, Any]) -> None:
    """All are switched off first: they run again afterwards, as when the snapshot was taken."""
    page.get_by_role("link", name="Force off all…").click()
    page.locator("#dialog button", has_text="Force off all").click()
    expect(page.locator("#class-head .page-sub")).not_to_contain_text("running", timeout=90_000)
    the_class(cluster, lambda one: all(seat["vm_state"] == "off" for seat in one["seats"]))
    page.get_by_role("link", name="Reset all to the start…").click()
    page.locator("#dialog button", has_text="Reset all to the start").click()
    expect(page.locator("#class-head .page-sub")).to_contain_text("10 running", timeout=180_000)
    assert all(cluster.alive(seat["vm"]) for seat in found["seats"])


def given_until(page: Page, cluster: Cluster) -> None:
    day = (datetime.now(UTC) + timedelta(days=45)).date().isoformat()
    expect(page.locator(".class-job")).to_have_count(0, timeout=60_000)
    page.get_by_role("link", name="Give until a date…").click()
    page.fill("#dialog [name=until]", day)
    page.locator("#dialog button", has_text="Give until a date").click()
    the_class(cluster, lambda one: all(seat["until"].startswith(day) for seat in one["seats"]))


def ended(page: Page, cluster: Cluster) -> None:
    expect(page.locator(".class-job")).to_have_count(0, timeout=60_000)
    page.get_by_role("link", name="End the class…").click()
    page.fill("#dialog [name=typed]", "Routing")
    page.locator("#dialog button", has_text="End the class").click()
    the_class(cluster, lambda one: all(seat["state"] == "deleted" for seat in one["seats"]))
    expect(page.locator("#class-head .page-sub")).to_contain_text("over")
    left = {name for name in cluster.files() if name.startswith("Routing-")}
    assert left == set()
