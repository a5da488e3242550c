"""What rows are measured on, made when first asked for: a running Drover with the lab under it, a browser."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from tests import labkit
from tests.clusterkit import Cluster
from tests.labkit import Lab
from tests.product import PASSWORD, Product

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOSTS = ("vmhost1", "vmhost2", "vmhost3")


class Scene:
    """`stack` ends everything that was started, whatever happens."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack

    @cached_property
    def lab(self) -> Lab:
        """The lab of DROVER_TEST_LAB, or one of our own."""
        given = os.environ.get("DROVER_TEST_LAB")
        if given:
            return labkit.running(Path(given))
        folder = self.folder / "lab"
        self.stack.callback(labkit.stop, folder)
        return labkit.start(folder)

    @cached_property
    def cluster(self) -> Cluster:
        """A Drover that knows the lab's hosts, shared pool and tiny image."""
        return Cluster(self.product("product", adopt=True), self.lab)

    def product(self, name: str, *, adopt: bool) -> Product:
        product = Product(self.folder / name)
        self.stack.callback(product.stop)
        product.start()
        if adopt:
            product.manage("lab_adopt", str(self.lab.file))
        return product

    @cached_property
    def redis(self) -> Path:
        """A Redis where the bench's own settings expect it: pages that are rendered here ask for pictures there."""
        from django.conf import settings

        socket = Path(settings.REDIS_URL.removeprefix("unix://").partition("?")[0])
        socket.parent.mkdir(parents=True, exist_ok=True)
        words = ["--unixsocket", str(socket), "--port", "0", "--save", "", "--loglevel", "warning"]
        process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        until = time.monotonic() + 10
        while not socket.exists():
            if time.monotonic() > until:
                raise AssertionError("Redis does not start")
            time.sleep(0.02)
        return socket

    @cached_property
    def browser(self) -> "Browser":
        from playwright.sync_api import sync_playwright

        playwright = self.stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        self.stack.callback(browser.close)
        return browser

    @contextmanager
    def page(self) -> "Iterator[Page]":
        """A page of the cluster's Drover, signed in as its administrator."""
        product = self.cluster.product
        with self.browser.new_context(viewport={"width": 1280, "height": 800}) as context:
            page = context.new_page()
            page.goto(f"{product.url}/login")
            page.fill("[name=username]", "admin")
            page.fill("[name=password]", PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url(f"{product.url}/")
            yield page

    def ssh(self, host: str, *, shared: bool = True) -> list[str]:
        """ssh to a lab host, past Drover. shared: all commands use one connection, which is kept."""
        options = {"StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null", "LogLevel": "ERROR"}
        if shared:
            control = str(self.folder / "ssh-%h")
            options |= {"ControlMaster": "auto", "ControlPath": control, "ControlPersist": "60"}
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-i", str(self.lab.key), *words, f"root@{self.lab.address(host)}"]

    def on(self, host: str, command: str, given: bytes = b"") -> str:
        """A shell command line on a lab host, past Drover."""
        done = subprocess.run([*self.ssh(host), command], input=given, capture_output=True, timeout=300, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{host}: {command}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def libvirt(self, host: str) -> Any:
        """The bench's own connection to a lab host's libvirtd."""
        address = self.lab.address(host)
        uri = f"qemu+ssh://root@{address}/system?keyfile={self.lab.key}&no_verify=1&no_tty=1"
        connection = libvirt.open(uri)
        self.stack.callback(connection.close)
        return connection
