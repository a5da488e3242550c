"""Self-service in the browser against the real lab: offered, asked for, approved, built, used; invisible to others."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clusterkit import Cluster
from tests.e2e.conftest import keep
from tests.e2e.steps import OWN_PASSWORD, choose, sign_in, window
from tests.product import PASSWORD
from tests.webkit import WebPerson

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
PEOPLE = {"lena": "user", "max": "user", "petra": "approver", "admin": ""}
TEMPLATE = "#cloud-config\nwrite_files:\n- path: /etc/course\n  content: <course>\n"


@pytest.fixture
def pages(browser: Browser, cluster: Cluster, errors: list[str]) -> Iterator[dict[str, Page]]:
    """Each of them logged in, in a browser of their own."""
    opened = {}
    for name, role in PEOPLE.items():
        if role:
            body = {"username": name, "role": role, "password": PASSWORD}
            cluster.product.api("POST", "/people", body)
        opened[name] = sign_in(window(browser).new_page(), cluster.product, errors, name)
    yield opened
    for page in opened.values():
        page.context.close()


def test_from_an_offer_to_the_console(
    pages: dict[str, Page], cluster: Cluster, errors: list[str], tmp_path: Path
) -> None:
    lena, petra = pages["lena"], pages["petra"]
    uuids: list[str] = []
    try:
        offer(pages["admin"], cluster)
        ask(lena, cluster)
        wish = lena.url
        petra.goto(f"{cluster.product.url}/requests/inbox")
        expect(petra.locator(".inbox-item")).to_contain_text("two machines that talk")
        petra.locator(".inbox-item [type=checkbox]").check()
        petra.fill("#decide [name=why]", "Good luck.")
        petra.get_by_role("button", name="Approve", exact=True).click()
        expect(petra.locator("#inbox")).to_contain_text("Nothing to decide")
        expect(lena.locator("#request .page-sub")).to_contain_text("ready", timeout=90_000)
        expect(lena.locator("#request")).to_contain_text("Good luck.")
        uuids = [str(one.get_attribute("href")).split("/")[2] for one in lena.locator("#request td.name a").all()]
        assert len(uuids) == 2
        use(lena, uuids[0])
        unseen(pages["max"], cluster, wish, uuids[0])
        give_back(lena, cluster, wish, uuids)
    except BaseException:
        for name, page in pages.items():
            keep(page, tmp_path, name)
        raise
    assert errors == []


def offer(page: Page, cluster: Cluster) -> None:
    page.goto(f"{cluster.product.url}/offers/new")
    page.fill("[name=name]", "Tiny Linux")
    page.fill("[name=text]", "For **trying** things out.")
    choose(page, "[name=image]", "tiny: latest")
    choose(page, "[name=network]", "br0")
    choose(page, "[name=pool]", "vmstorage")
    sizes = {"memory": ("128 MiB", "160 MiB", "512 MiB"), "disk": ("1 GiB", "1 GiB", "4 GiB")}
    for name, values in sizes.items():
        for part, value in zip(("least_", "", "most_"), values, strict=True):
            page.fill(f"[name={part}{name}_bytes]", value)
    page.fill("[name=most_vms]", "4")
    page.fill("[name=user_data]", TEMPLATE)
    page.fill("[name=fields_text]", "course*: Networks | Databases: Course")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/offers/\d+/$"))
    expect(page.locator(".prose strong")).to_have_text("trying")


def ask(page: Page, cluster: Cluster) -> None:
    page.goto(f"{cluster.product.url}/offers/")
    page.get_by_role("link", name="Ask for it").click()
    page.fill("[name=pattern]", "net-##")
    page.fill("[name=count]", "2")
    page.locator("[name=value-course]").select_option("Networks")
    page.fill("[name=reason]", "Exercise 3: two machines that talk to each other")
    expect(page.locator("#outlook")).to_contain_text("net-01, net-02")
    page.locator("#ask-button").click()
    page.wait_for_url(re.compile(r"/requests/\d+/$"))
    expect(page.locator("#request .page-sub")).to_contain_text("pending")


def use(page: Page, uuid: str) -> None:
    """It is the user's own: its page, and its console with a guest that answers."""
    page.locator("#request td.name a").first.click()
    page.wait_for_url(re.compile(uuid))
    expect(page.locator("main").get_by_text("running").first).to_be_visible()
    page.get_by_role("link", name="Console").first.click()
    expect(page.locator("#console-note")).to_have_text("Connected", timeout=20_000)


def unseen(page: Page, cluster: Cluster, wish: str, uuid: str) -> None:
    """For somebody else there is no such request and no such VM, by page, API and console ticket."""
    max_ = WebPerson(cluster.product.url).log_in("max", OWN_PASSWORD)
    number = wish.rstrip("/").rsplit("/", 1)[1]
    paths = [f"/requests/{number}/", f"/api/v1/requests/{number}", f"/vms/{uuid}/", f"/vms/{uuid}/console"]
    assert [max_.get(path).status for path in paths] == [404] * 4
    refused = (f"/requests/{number}/withdraw", f"/requests/{number}/approve", f"/vms/{uuid}/console/ticket")
    assert {max_.post(path).status for path in refused} == {404}
    page.goto(f"{cluster.product.url}/requests/")
    expect(page.locator("#requests")).to_contain_text("No request yet")


def give_back(page: Page, cluster: Cluster, wish: str, uuids: list[str]) -> None:
    """When the last VM is deleted, the request says so."""
    page.goto(wish)
    for uuid in uuids:
        cluster.remove(uuid)
    expect(page.locator("#request .page-sub")).to_contain_text("deleted")
