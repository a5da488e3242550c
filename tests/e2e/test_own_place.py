"""A user's own place in browsers on the lab: cards, SSH command, console, sharing; a link that only shows, and ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clusterkit import Cluster
from tests.e2e.conftest import keep
from tests.e2e.steps import OWN_PASSWORD, sign_in, watched, window
from tests.product import PASSWORD
from tests.webkit import WebPerson

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
PEOPLE = ("olga", "gerd", "vera")


@pytest.fixture
def pages(browser: Browser, cluster: Cluster, errors: list[str]) -> Iterator[dict[str, Page]]:
    """Lab users in browsers of their own, and one of nobody's."""
    opened = {}
    for name in (*PEOPLE, "nobody"):
        context = window(browser, permissions=["clipboard-read", "clipboard-write"])
        page = opened[name] = context.new_page()
        if name == "nobody":
            watched(page, errors)
            continue
        cluster.product.api("POST", "/people", {"username": name, "role": "user", "password": PASSWORD})
        sign_in(page, cluster.product, errors, name)
    yield opened
    for page in opened.values():
        page.context.close()


@pytest.fixture
def vm(cluster: Cluster) -> Iterator[str]:
    subnet = cluster.lab.facts["subnet"].rpartition(".")[0]
    nic = {"bridge": "br0", "address": f"{subnet}.93/24"}
    uuid = cluster.create("own-place", nics=[nic], first_boot={"user": "student"})
    yield uuid
    cluster.remove(uuid)


def test_own_place(pages: dict[str, Page], cluster: Cluster, vm: str, errors: list[str], tmp_path: Path) -> None:
    olga, url = pages["olga"], cluster.product.url
    try:
        expect(olga.locator("#my-vms")).to_contain_text("You have no VM yet")
        cluster.product.done(cluster.product.api("PATCH", f"/vms/{vm}", {"owner": "olga"}))
        olga.reload()
        card = olga.locator(f"#my-{vm}")
        expect(card).to_contain_text("running")
        subnet = cluster.lab.facts["subnet"].rpartition(".")[0]
        command = f"ssh student@{subnet}.93"
        # its host knows an address of its network that was talked to
        cluster.lab.ssh(
            cluster.alive(vm)[0], f"for n in $(seq 30); do ping -c 1 -W 1 {subnet}.93 && break; done", check=False
        )
        expect(card.locator("code")).to_have_text(command, timeout=60_000)  # it answers by now
        card.locator("dd", has_text=command).locator(".copy").click()
        assert olga.evaluate("navigator.clipboard.readText()") == command
        snapshot(olga, cluster, vm)
        share(olga, cluster, vm)
        shared(pages["gerd"], cluster, vm)
        stranger(cluster, vm)
        look(olga, pages["nobody"], cluster, vm)
        olga.goto(f"{url}/my-vms/")
        olga.locator(f"#my-{vm}").get_by_role("link", name="Console").click()
        expect(olga.locator("#console-note")).to_have_text("Connected", timeout=20_000)
    except BaseException:
        for name, page in pages.items():
            keep(page, tmp_path, name)
        raise
    assert errors == []


def snapshot(page: Page, cluster: Cluster, vm: str) -> None:
    page.goto(f"{cluster.product.url}/vms/{vm}/snapshots")
    page.get_by_role("link", name="Take a snapshot…").first.click()
    page.fill("#dialog [name=name]", "clean")
    page.get_by_role("button", name="Take the snapshot").click()
    expect(page.locator("#vm-snapshots td.name")).to_contain_text("clean", timeout=30_000)
    page.get_by_role("link", name="Revert… clean").click()
    page.get_by_role("button", name="Revert to clean").click()
    expect(page.locator("#vm-head")).to_contain_text("running", timeout=30_000)
    assert "clean" in cluster.lab.ssh(cluster.alive(vm)[0], f"virsh snapshot-list {vm}")


def share(page: Page, cluster: Cluster, vm: str) -> None:
    page.goto(f"{cluster.product.url}/vms/{vm}/shares")
    page.get_by_role("link", name="Share…").click()
    page.fill("#dialog [name=person]", "gerd")
    page.get_by_label("its console only").check()
    page.locator("#dialog").get_by_role("button", name="Share").click()
    expect(page.locator("#vm-shares")).to_contain_text("gerd")


def shared(page: Page, cluster: Cluster, vm: str) -> None:
    """Gerd sees it, and may look and type, but not switch it off."""
    page.goto(f"{cluster.product.url}/my-vms/")
    card = page.locator(f"#my-{vm}")
    expect(card).to_contain_text("shared by olga")
    expect(card.get_by_role("button", name="Shut down")).to_have_count(0)
    card.get_by_role("link", name="Console").click()
    expect(page.locator("#console-note")).to_have_text("Connected", timeout=20_000)


def stranger(cluster: Cluster, vm: str) -> None:
    vera = WebPerson(cluster.product.url).log_in("vera", OWN_PASSWORD)
    paths = ["", "snapshots", "shares", "console", "hardware"]
    assert {vera.get(f"/vms/{vm}/{path}").status for path in paths} == {404}
    assert vm not in vera.get("/my-vms/").body
    assert {vera.post(f"/vms/{vm}/{path}").status for path in ("console/ticket", "rebuild", "links/new")} == {404}


def look(owner: Page, nobody: Page, cluster: Cluster, vm: str) -> None:
    """Whoever has the link sees the screen, can type nothing, and is shut out when its maker ends it."""
    owner.goto(f"{cluster.product.url}/vms/{vm}/shares")
    owner.get_by_role("link", name="Make a link…").click()
    owner.get_by_role("button", name="Make the link").click()
    link = owner.locator("#dialog code").inner_text()
    nobody.goto(link)
    expect(nobody.locator("#console[data-connected=yes] canvas")).to_be_visible(timeout=20_000)
    expect(nobody.locator("#look-state")).to_contain_text("running")
    assert "vmhost" not in nobody.content()
    nobody.locator("canvas").click()
    nobody.keyboard.type("poweroff\n")
    nobody.wait_for_timeout(1500)
    assert cluster.alive(vm)
    owner.goto(f"{cluster.product.url}/vms/{vm}/shares")
    owner.locator("section", has_text="Links to its screen").get_by_role("button", name="End").click()
    expect(nobody.locator("#look-state")).to_contain_text("This link has ended.", timeout=20_000)
    expect(nobody.locator("#console-note")).to_contain_text("This link has ended.", timeout=20_000)
    nobody.goto(link)
    expect(nobody.locator("h1")).to_have_text("This link is not valid")
