"""Takes the pictures of docs/img from a running Drover, as a person sees it.

Usage: DROVER_PASSWORD=... python -m scripts.pictures http://127.0.0.1:8000 [user]
The second picture needs a migration that is under way: start one with a low bandwidth first.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FOLDER = Path(__file__).resolve().parent.parent / "docs" / "img"
SETTLE_MS = 1500
CURVE_MS = 12_000


def log_in(page: Page, url: str, user: str) -> None:
    page.goto(f"{url}/login")
    page.fill("[name=username]", user)
    page.fill("[name=password]", os.environ["DROVER_PASSWORD"])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/")


def take(url: str, user: str) -> None:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        log_in(page, url, user)
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=FOLDER / "overview.png")
        page.locator("#map .tile-busy").first.click()
        page.locator("[data-migration]").wait_for()
        page.wait_for_timeout(CURVE_MS)
        page.screenshot(path=FOLDER / "migration.png")


if __name__ == "__main__":
    take(sys.argv[1].rstrip("/"), sys.argv[2] if len(sys.argv) > 2 else "admin")
