"""The real lab for tests marked `lab` and `e2e`: started once a run, taken down at its end.

DROVER_TEST_LAB=<lab.json of a running lab> uses that one and leaves it running, which is quicker while writing tests.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def of_this_process(name: str, octet: int) -> tuple[str, str]:
    """A lab's name and subnet: each of several processes of one run (pytest-xdist) has labs of its own."""
    return f"{name}{WORKER or ''}", f"10.{octet + 4 * WORKER}.0"


NAME, SUBNET = of_this_process("drtest", 91)


@dataclass
class Lab:
    """What `lab.json` says, and the lab's commands."""

    facts: dict[str, Any]
    environment: dict[str, str]
    file: Path = Path()

    def address(self, name: str) -> str:
        return str(self.facts["hosts"][name]["address"])

    def password(self, name: str) -> str:
        return str(self.facts["hosts"][name]["password"])

    def image(self, name: str) -> Path:
        return Path(self.facts["images"][name])

    @property
    def key(self) -> Path:
        return Path(self.facts["key"])

    def run(self, *words: str, timeout_s: float = 540) -> str:
        """`python3 -m lab WORDS`, such as run("fault", "cut", "vmhost1")."""
        done = subprocess.run(
            [sys.executable, "-m", "lab", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"lab {' '.join(words)}: {done.stderr or done.stdout}")
        if words[0] == "up" and self.file.is_file():
            self.facts = json.loads(self.file.read_text())  # there may be more hosts now
        return done.stdout

    def heal(self) -> None:
        """Undo all faults of the hosts that every lab has."""
        self.run("fault", "heal", *(name for name, host in self.facts["hosts"].items() if host["kind"] != "full"))

    def ssh(self, name: str, *argv: str, check: bool = True) -> str:
        """A command on a lab host as root with the lab's own key (not Drover's)."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        command = ["ssh", "-i", str(self.key), *options, f"root@{self.address(name)}", "--", *argv]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{name}: {' '.join(argv)}: {done.stderr}")
        return done.stdout


def running(path: Path) -> Lab:
    """The lab of somebody else's `lab.json`."""
    facts = json.loads(path.read_text())
    environment = {
        **os.environ,
        "LAB_NAME": facts["name"],
        "LAB_SUBNET": facts["subnet"].rpartition(".")[0],
        "DROVER_VAR": str(path.parent.parent),
        "LAB_IMAGES": str(ROOT / "var" / "lab" / "images"),
    }
    return Lab(facts, environment, path)


def start(folder: Path) -> Lab:
    """A lab of our own below `folder`, with images kept in the project's var/ between runs."""
    environment = {
        **os.environ,
        "LAB_NAME": NAME,
        "LAB_SUBNET": SUBNET,
        "DROVER_VAR": str(folder),
        "LAB_IMAGES": str(ROOT / "var" / "lab" / "images"),
    }
    lab = Lab({}, environment)
    lab.run("up", timeout_s=580)
    found = next(folder.glob("lab*/lab.json"))
    lab.facts, lab.file = json.loads(found.read_text()), found
    return lab


def stop(folder: Path) -> None:
    """Take the lab below `folder` down, however far it came."""
    Lab({}, {**os.environ, "LAB_NAME": NAME, "LAB_SUBNET": SUBNET, "DROVER_VAR": str(folder)}).run("down")
