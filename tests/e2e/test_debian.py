"""A real distribution with cloud-init, through the create page: it gets its hostname, its user and the user's key."""

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.clusterkit import Cluster
from tests.e2e.conftest import keep
from tests.e2e.steps import choose, sign_in, upload_image, uuid_of
from tests.labkit import Lab

pytestmark = [pytest.mark.lab, pytest.mark.e2e]
BOOT_S = 400  # cloud-init in an emulated guest on a busy machine; about 100 s on a quiet one
LIMITS = ["-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]


@pytest.fixture(scope="module")
def debian(lab: Lab) -> Path:
    """The image, built of Debian's packages when it is not there yet (a minute or two)."""
    return Path(lab.run("image", "debian").splitlines()[-1])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "eva@desk", "-f", str(path)], check=True)
    return path


@pytest.fixture
def leaves_nothing(cluster: Cluster) -> Iterator[None]:
    yield
    for vm in cluster.product.api("GET", "/vms/?limit=100")["items"]:
        if vm["name"].startswith("deb-"):
            cluster.remove(vm["uuid"])


def test_debian_gets_its_hostname_user_and_key(
    context: BrowserContext,
    cluster: Cluster,
    debian: Path,
    key: Path,
    errors: list[str],
    tmp_path: Path,
    leaves_nothing: None,
) -> None:
    page = sign_in(context.new_page(), cluster.product, errors)
    try:
        upload_image(page, cluster.product, "debian", debian, within_s=180)
        create(page, cluster, key.with_suffix(".pub").read_text())
        shown_address(page, cluster)
        command = page.locator("#vm-facts code").inner_text()  # to copy: it works as it is
    except BaseException:
        keep(page, tmp_path, "debian")
        raise
    said = in_guest(key, command, "hostname; hostname -f; id -un; sudo -n id -un; cat ~/hello")
    assert said.split() == ["web-1", "web-1.lab.example", "eva", "root", "made-at-first-boot"]
    assert in_guest(key, command, "cloud-init status").strip() == "status: done"
    assert int(in_guest(key, command, "lsblk -bndo SIZE /dev/vda")) == 5 * 1024**3, "the disk has the wanted size"
    assert int(in_guest(key, command, "df -B1 --output=size / | tail -1")) > 4 * 1024**3, "and the guest uses it"
    assert errors == []


def create(page: Page, cluster: Cluster, public_key: str) -> None:
    page.goto(f"{cluster.product.url}/vms/create")
    page.fill("#create [name=name]", "deb-1")
    choose(page, "#create [name=image]", "debian")
    page.fill("#create [name=memory_bytes]", "768 MiB")
    page.fill("#create [name=disk_bytes]", "5 GiB")
    choose(page, "#create .nic select", "br0")
    page.fill("#create [name=user]", "eva")
    page.fill("#create [name=ssh_keys]", public_key)
    page.fill("#create [name=hostname]", "web-1")
    page.fill("#create [name=domain]", "lab.example")
    page.locator("#create summary", has_text="Own user-data").click()
    page.fill("#create [name=user_data]", "#cloud-config\nruncmd:\n- echo made-at-first-boot > /home/eva/hello\n")
    page.get_by_role("button", name="Show the files").click()
    expect(page.locator("#seed-preview")).to_contain_text("eva@desk")
    page.locator("#create-button").click()
    page.wait_for_url(re.compile(r"/vms/[0-9a-f-]{36}/"))
    expect(page.locator("main").get_by_text("running").first).to_be_visible(timeout=90_000)


def shown_address(page: Page, cluster: Cluster) -> None:
    """Wait until the page shows the guest's address by itself (its agent tells, or the host's neighbours)."""
    address = page.locator("main").get_by_text(re.compile(r"^10\.\d+\.\d+\.\d+")).first
    expect(address).to_be_visible(timeout=BOOT_S * 1000)
    found = re.match(r"[\d.]+", address.inner_text().strip())
    assert found
    assert cluster.vm(uuid_of(page))["addresses"][0].startswith(found.group())


def in_guest(key: Path, command: str, script: str) -> str:
    """What a script says in the guest by the shown command, once cloud-init is through with it."""
    until = time.monotonic() + BOOT_S
    wait = "cloud-init status --wait > /dev/null; "
    while True:
        ssh, *rest = shlex.split(command)
        argv = [ssh, "-i", str(key), *LIMITS, "-o", "BatchMode=yes", *rest, wait + script]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=BOOT_S, check=False)
        if done.returncode != 255:
            assert done.returncode == 0, done.stderr
            return done.stdout
        assert time.monotonic() < until, done.stderr
        time.sleep(3)
