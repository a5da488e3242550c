"""A lease in the browser against the real lab, its days made three seconds long: through every step, and back."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests import mailkit
from tests.clusterkit import MIB, Cluster
from tests.e2e.conftest import keep
from tests.e2e.steps import sign_in, window
from tests.labkit import Lab
from tests.mailkit import Mailbox
from tests.product import PASSWORD, Product

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
DAYS = {
    "DROVER_LEASE_DAY_SECONDS": "3",
    "DROVER_LEASE_LOOK_SECONDS": "1",
    "DROVER_LEASE_WARN_DAYS": "3,1",
    "DROVER_LEASE_GRACE_DAYS": "3",
    "DROVER_LEASE_ARCHIVE_DAYS": "8",
    "DROVER_LEASE_UNUSED_DAYS": "0",
}
LEASE_DAYS, MOST_DAYS = 6, 60
SLOW = 150_000  # for what the clock does, on a busy machine


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox(mailkit.free_port())
    server = mailkit.controller(box)
    server.start()
    yield box
    server.stop()


@pytest.fixture(scope="module")
def cluster(lab: Lab, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Drover of its own: nobody else's VMs are to live by this clock."""
    mail = {"DROVER_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}", "DROVER_MAIL_FROM": "drover@example.org"}
    product = Product(tmp_path_factory.mktemp("leases"), extra={**DAYS, **mail})
    product.extra["DROVER_PUBLIC_URL"] = product.url
    try:
        product.start()
        product.manage("lab_adopt", str(lab.file))
        yield Cluster(product, lab)
    finally:
        product.stop()


@pytest.fixture
def lena(browser: Browser, cluster: Cluster, errors: list[str]) -> Iterator[Page]:
    body = {"username": "lena", "role": "user", "password": PASSWORD, "email": "lena@example.org"}
    cluster.product.api("POST", "/people", body)
    with window(browser) as context:
        yield sign_in(context.new_page(), cluster.product, errors, "lena")


def test_through_every_step_and_back(
    lena: Page, cluster: Cluster, mailbox: Mailbox, errors: list[str], tmp_path: Path
) -> None:
    try:
        story(lena, cluster)
        lena.wait_for_timeout(2000)
        of_the_clock = {"ends on", "has ended", "is archived", "is deleted on", "is deleted"}
        assert mailed(mailbox, lena) == {*of_the_clock, "stays as it is"}
    except BaseException:
        keep(lena, tmp_path, "lena")
        raise
    assert errors == []


def story(page: Page, cluster: Cluster) -> None:
    number = ask(page, cluster)
    happened(page, "ready", 1)
    vm = str(page.locator("#request td.name a").first.get_attribute("href"))
    uuid = vm.split("/")[2]
    assert cluster.alive(uuid)

    happened(page, "ends soon", 1)
    extend(page, 1)

    happened(page, "ended: shut down", 1)
    held(cluster, number, lambda: refused_to_start(page, cluster, uuid, vm))
    extend(page, 2)
    start(page, vm)
    assert cluster.alive(uuid)

    page.goto(f"{cluster.product.url}/requests/{number}/")
    happened(page, "ended: shut down", 2)
    happened(page, "archived", 1)
    held(cluster, number, lambda: nothing_but_disks(page, cluster, uuid))
    extend(page, 3)

    happened(page, "archived", 2)
    happened(page, "deleted", 1)
    expect(page.locator("#request .page-sub")).to_contain_text("deleted")
    assert cluster.where(uuid) == {}
    assert not [file for file in cluster.files() if uuid[:8] in file]


def ask(page: Page, cluster: Cluster) -> int:
    """For a VM of an offer that needs nobody; returns the request's number."""
    sizes = {"memory_bytes": (128, 160, 512), "disk_bytes": (1024, 1024, 4096)}
    ranges = {
        name: dict(zip(("least", "usual", "most"), [size * MIB for size in some], strict=True))
        for name, some in sizes.items()
    }
    lease = {"lease_days": LEASE_DAYS, "most_lease_days": MOST_DAYS, "approval": "limits"}
    offer = {"name": "Tiny Linux", "image": "tiny", "pool": cluster.pool_id(), "network": "bridge:br0"}
    made = cluster.product.api("POST", "/offers", {**offer, **ranges, **lease})
    page.goto(f"{cluster.product.url}/offers/{made['id']}/ask")
    page.fill("[name=pattern]", "lab")
    page.fill("[name=reason]", "Exercise 3")
    page.locator("#ask-button").click()
    page.wait_for_url(re.compile(r"/requests/\d+/$"))
    return int(page.url.rstrip("/").rsplit("/", 1)[1])


def steps(page: Page, words: str) -> Locator:
    return page.locator(".happened li strong").get_by_text(words, exact=True)


def happened(page: Page, words: str, times: int) -> None:
    """By itself, on the open page; so often at least."""
    expect(steps(page, words).nth(times - 1)).to_be_visible(timeout=SLOW)


def extend(page: Page, times: int) -> None:
    """One click."""
    page.get_by_role("button", name="Extend until").click()
    happened(page, "extended", times)
    expect(page.locator("#request .page-sub")).to_contain_text("ready")


def held(cluster: Cluster, number: int, look: Callable[[], None]) -> None:
    """Pinned by the administrator meanwhile: the clock waits for who looks."""
    cluster.product.api("POST", f"/requests/{number}/pin", {"why": "to look at it"})
    look()
    cluster.product.api("POST", f"/requests/{number}/unpin")


def refused_to_start(page: Page, cluster: Cluster, uuid: str, vm: str) -> None:
    """It is off where it is, and nobody starts it by the page."""
    assert cluster.alive(uuid) == []
    back = page.url
    page.goto(f"{cluster.product.url}{vm}")
    page.locator("main").get_by_role("button", name="Start").first.click()
    expect(page.get_by_text("Its lease has ended: extend it first.").first).to_be_visible()
    assert cluster.alive(uuid) == []
    page.goto(back)


def nothing_but_disks(page: Page, cluster: Cluster, uuid: str) -> None:
    """Archived: the definition and the disk are there, of the quota only the disk is taken."""
    assert list(cluster.where(uuid).values()) == ["shut off"]
    assert [file for file in cluster.files() if uuid[:8] in file]
    page.goto(f"{cluster.product.url}/quotas/mine")
    used = dict(
        zip(page.locator(".gauge dt").all_inner_texts(), page.locator(".gauge dd").all_inner_texts(), strict=True)
    )
    assert (used["VMs"], used["vCPUs"], used["Disks"]) == ("0", "0", "1\N{NO-BREAK SPACE}GiB")
    page.go_back()


def start(page: Page, vm: str) -> None:
    page.goto(re.sub(r"/requests/.*", vm, page.url))
    page.locator("main").get_by_role("button", name="Start").first.click()
    expect(page.locator("main").get_by_text("running").first).to_be_visible(timeout=SLOW)


def mailed(mailbox: Mailbox, page: Page) -> set[str]:
    """What the mails about it were about; the last one leaves a moment after the last step."""
    for _second in range(40):
        subjects = [str(mail["Subject"]) for mail in mailbox.mails if not str(mail["Subject"]).endswith("is ready")]
        if any(subject.endswith("is deleted") for subject in subjects):
            break
        page.wait_for_timeout(1000)
    about = ("ends on", "has ended", "is archived", "is deleted on")
    return {next((words for words in about if words in one), one.rpartition("lab ")[2]) for one in subjects}
