"""What several stories do in the browser."""

import re
import time
from pathlib import Path

from playwright.sync_api import Page

from tests.product import Product


def uuid_of(page: Page) -> str:
    """The VM that the page is about."""
    found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", page.url)
    assert found
    return found.group()


def upload_image(page: Page, product: Product, name: str, file: Path, within_s: float = 60) -> None:
    """Import an image by upload, and wait until it is ready."""
    page.goto(f"{product.url}/storage/images/import?from=upload")
    page.set_input_files("input[type=file]", str(file))
    page.fill("[name=name]", name)
    page.fill("[name=version]", "1")
    page.locator("#upload-form button.btn-primary").click()
    until = time.monotonic() + within_s
    while {one["name"]: one["state"] for one in product.api("GET", "/images/")}.get(name) != "ready":
        assert time.monotonic() < until, page.inner_text("main")
        page.wait_for_timeout(250)
    page.wait_for_url(re.compile(r"/storage/images/\d+"))  # where the page goes by itself


def choose(page: Page, selector: str, text: str) -> None:
    """The first option with this text in it."""
    option = page.locator(f"{selector} option", has_text=text).first.get_attribute("value")
    page.locator(selector).first.select_option(option)
