"""The whole story in a browser against the real lab: from no host to a live migration with the console open."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import keep
from tests.e2e.steps import choose, sign_in, upload_image, uuid_of, watched
from tests.labkit import Lab
from tests.product import Product

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
POOL_PATH = "/var/lib/libvirt/drover/story"
BUSY = "#cloud-config\nruncmd:\n- dirty 48 20\n"


@pytest.fixture(scope="module")
def folder_of_its_own(lab: Lab) -> Iterator[str]:
    """A folder in the Gluster volume: libvirt allows no second pool on the same source."""
    mount = "mkdir -p /mnt/story && mount -t glusterfs {server}:/{volume} /mnt/story".format(**lab.facts["gluster"])
    lab.ssh("vmhost1", f"{mount} && mkdir -p /mnt/story/story; umount /mnt/story")
    yield f"{lab.facts['gluster']['volume']}/story"
    for name in ("vmhost1", "vmhost2"):
        lab.ssh(name, "virsh destroy story-vm; virsh undefine story-vm", check=False)
        lab.ssh(name, f"rm -f {POOL_PATH}/tiny-1* {POOL_PATH}/story-vm*; virsh pool-destroy story", check=False)
        lab.ssh(name, f"virsh pool-undefine story; rmdir {POOL_PATH}", check=False)


def test_the_whole_story(
    context: BrowserContext,
    fresh_product: Product,
    lab: Lab,
    folder_of_its_own: str,
    errors: list[str],
    tmp_path: Path,
) -> None:
    page = sign_in(context.new_page(), fresh_product, errors)
    try:
        for name in ("vmhost1", "vmhost2"):
            add_host(page, fresh_product, lab, name)
        let_hosts_trust_each_other(page, fresh_product)
        define_the_shared_pool(page, fresh_product, lab, folder_of_its_own)
        import_the_tiny_image(page, fresh_product, lab)
        create_a_vm(page, fresh_product)
        console = see_it_boot_on_the_console(context, page, fresh_product, errors)
        source, target = migrate_with_the_console_open(page, console, fresh_product)
        cancel_another_migration(page, fresh_product, target, source)
        read_the_jobs_log(page)
    except BaseException:
        keep(page, tmp_path, "story")
        raise
    assert errors == []


def add_host(page: Page, product: Product, lab: Lab, name: str) -> None:
    page.goto(f"{product.url}/hosts/")
    page.get_by_role("link", name="Add host").first.click()
    page.fill("#add-host-dialog [name=address]", lab.address(name))
    page.fill("#add-host-dialog [name=name]", name)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="The fingerprint is right").click()
    shown = lab.ssh(name, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert shown.startswith("SHA256:")
    page.fill("[name=password]", lab.password(name))
    page.get_by_role("button", name="Install the key").click()
    add = page.get_by_role("button", name="Add to the cluster")
    expect(add).to_be_enabled(timeout=60_000)
    add.click()
    expect(page.get_by_text(f"{name} belongs to the cluster")).to_be_visible()


def let_hosts_trust_each_other(page: Page, product: Product) -> None:
    page.goto(f"{product.url}/hosts/")
    page.get_by_role("link", name="Make the hosts trust each other").click()
    page.get_by_role("button", name="Exchange the keys").click()
    expect(page.get_by_text("All 2 hosts can log in to each other")).to_be_visible(timeout=60_000)


def define_the_shared_pool(page: Page, product: Product, lab: Lab, folder: str) -> None:
    page.goto(f"{product.url}/storage/")
    page.get_by_role("link", name="Define pool").first.click()
    page.locator("#pool-dialog [name=kind][value=glusterfs]").check()
    page.locator("#pool-dialog [name=path]").wait_for()
    page.fill("#pool-dialog [name=name]", "story")
    page.fill("#pool-dialog [name=host]", lab.facts["gluster"]["server"])
    page.fill("#pool-dialog [name=path]", folder)
    page.fill("#pool-dialog [name=target_path]", POOL_PATH)
    for box in page.locator("#pool-dialog [name=hosts]").all():
        box.check()
    page.get_by_role("button", name="Define").click()
    expect(page.locator("#dialog[open]")).to_have_count(0)
    page.goto(f"{product.url}/storage/")
    expect(page.locator("main").get_by_text("active", exact=True)).to_have_count(2, timeout=60_000)


def import_the_tiny_image(page: Page, product: Product, lab: Lab) -> None:
    upload_image(page, product, "tiny", lab.image("tiny"))
    page.goto(f"{product.url}/storage/images/")
    expect(page.locator("main").get_by_text("tiny").first).to_be_visible()


def create_a_vm(page: Page, product: Product) -> None:
    page.goto(f"{product.url}/vms/create")
    page.fill("#create [name=name]", "story-vm")
    choose(page, "#create [name=image]", "tiny")
    page.fill("#create [name=memory_bytes]", "192 MiB")
    choose(page, "#create .nic select", "br0")
    page.locator("#create summary", has_text="Own user-data").click()
    page.fill("#create [name=user_data]", BUSY)
    page.locator("#create-button").click()
    page.wait_for_url(re.compile(r"/vms/[0-9a-f-]{36}/"))
    expect(page.locator("main").get_by_text("running").first).to_be_visible(timeout=60_000)


def see_it_boot_on_the_console(context: BrowserContext, page: Page, product: Product, errors: list[str]) -> Page:
    console = watched(context.new_page(), errors)
    uuid = uuid_of(page)
    console.goto(f"{product.url}/vms/{uuid}/console")
    expect(console.locator("#console-note")).to_have_text("Connected", timeout=20_000)
    wait_for_light(console)
    return console


def wait_for_light(console: Page, within_s: float = 30) -> None:
    """Until the screen shows something else than black."""
    until = time.monotonic() + within_s
    script = """() => { const c = document.querySelector('#console-screen canvas'); if (!c || !c.width) return 0;
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
      for (let i = 0; i < d.length; i += 4) if (d[i] + d[i + 1] + d[i + 2] > 150) n += 1; return n; }"""
    while console.evaluate(script) < 200:
        assert time.monotonic() < until, "the screen stays black"
        console.wait_for_timeout(200)


def open_migration(page: Page, product: Product, bandwidth: str) -> None:
    page.goto(f"{product.url}/vms/{uuid_of(page)}/")
    page.get_by_role("link", name="Migrate").first.click()
    page.locator("#migrate-dialog [name=host]:not([disabled])").last.check()
    page.locator("#migrate-dialog summary").click()
    page.fill("#migrate-dialog [name=bandwidth_mib]", bandwidth)
    page.locator("#migrate-dialog button[type=submit]").click()
    page.locator("[data-migration]").wait_for()


def migrate_with_the_console_open(page: Page, console: Page, product: Product) -> tuple[str, str]:
    where = product.api("GET", f"/vms/{uuid_of(page)}")["host_id"]
    open_migration(page, product, "24")
    bar = page.locator("#migration progress")
    seen: set[str] = set()
    until = time.monotonic() + 90
    while page.locator("#migration .btn", has_text="succeeded").count() == 0:
        seen.add(bar.get_attribute("value") or "")
        assert time.monotonic() < until, page.inner_text("#migration")
        page.wait_for_timeout(120)
    assert len(seen) >= 5, f"the bar did not move: {sorted(seen)}"
    now = product.api("GET", f"/vms/{uuid_of(page)}")["host_id"]
    assert now != where
    expect(console.locator("#console-note")).to_have_text("Connected", timeout=20_000)
    wait_for_light(console)
    return str(where), str(now)


def cancel_another_migration(page: Page, product: Product, source: str, target: str) -> None:
    open_migration(page, product, "6")
    expect(page.locator("[data-figure=remaining]")).to_contain_text("/", timeout=20_000)
    page.locator("#migration").get_by_role("button", name="Cancel").click()
    expect(page.locator("#migration .btn", has_text="cancelled")).to_be_visible(timeout=60_000)
    assert str(product.api("GET", f"/vms/{uuid_of(page)}")["host_id"]) == source
    assert product.api("GET", f"/vms/{uuid_of(page)}")["state"] == "running"


def read_the_jobs_log(page: Page) -> None:
    page.locator("#migration .btn", has_text="cancelled").click()
    expect(page.locator("main")).to_contain_text("asked to cancel")
    expect(page.locator("main")).to_contain_text("virsh")
