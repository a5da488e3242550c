"""What several stories do in the browser."""

import re
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.product import PASSWORD, Product

OWN_PASSWORD = "staple battery 8"  # instead of the one that was given at first


def window(browser: Browser, **more: Any) -> BrowserContext:
    """A person's browser, without animations: what is drawn sixty times a second costs the lab its time."""
    opened = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce", **more)
    opened.set_default_timeout(60_000)  # three labs at once are slow at times
    return opened


def watched(page: Page, errors: list[str]) -> Page:
    """The page, whose exceptions and refused inline code go to `errors`."""
    page.on("pageerror", lambda error: errors.append(f"{error.message}: {error.stack} on {page.url}"))
    page.on("console", lambda one: errors.append(one.text) if "Content Security Policy" in one.text else None)
    return page


def sign_in(page: Page, product: Product, errors: list[str], name: str = "admin") -> Page:
    """Log in; everybody but the first administrator has to choose a password of their own."""
    watched(page, errors)
    page.goto(f"{product.url}/login")
    page.fill("[name=username]", name)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    if name == "admin":
        page.wait_for_url(f"{product.url}/")
        return page
    page.fill("[name=old_password]", PASSWORD)
    page.fill("[name=new_password1]", OWN_PASSWORD)
    page.fill("[name=new_password2]", OWN_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    page.wait_for_url(f"{product.url}/my-vms/")
    return page


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
