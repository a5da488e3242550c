"""A browser on a freshly started Drover with the lab around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.steps import window
from tests.labkit import Lab
from tests.product import Product

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def fresh_product(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A Drover that knows no host yet."""
    product = Product(tmp_path_factory.mktemp("story"))
    try:
        yield product.start()
    finally:
        product.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with window(browser) as opened:
        yield opened


@pytest.fixture
def errors() -> list[str]:
    """What the browser complained about: exceptions and refused inline code."""
    return []


def keep(page: Page, folder: Path, name: str) -> None:
    """A screenshot for the person who looks at why a test failed."""
    page.screenshot(path=str(folder / f"{name}.png"))
