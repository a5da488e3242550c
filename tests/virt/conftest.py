"""Golden files: what is built is compared with tests/data/xml; DROVER_REGENERATE_GOLDEN=1 writes them anew."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "tests" / "data" / "xml"


@pytest.fixture
def sample() -> Callable[[str], str]:
    """The text of one file of tests/data/xml."""
    return lambda name: (DATA / name).read_text()


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with a golden file."""

    def compare(name: str, text: str) -> None:
        path = DATA / name
        if os.environ.get("DROVER_REGENERATE_GOLDEN"):
            path.write_text(text)
        assert text == path.read_text()

    return compare


@pytest.fixture
def schema_valid(tmp_path: Path) -> Callable[[str, str], None]:
    """Validate a text against one of libvirt's own schemas, with libvirt's own program."""

    def check(text: str, schema: str) -> None:
        path = tmp_path / "document.xml"
        path.write_text(text)
        done = subprocess.run(
            ["virt-xml-validate", str(path), schema], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return check


@pytest.fixture(scope="session")
def cloud_init() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the system's Python with the distribution's cloud-init, which is only unpacked, never installed."""
    home = Path(os.environ.get("DROVER_VAR", ROOT / "var")) / "cache" / "cloud-init"
    library = home / "root" / "usr" / "lib" / "python3" / "dist-packages"
    if not (library / "cloudinit").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-qq", "download", "cloud-init"], cwd=home, timeout=300, check=True)
        package = max(home.glob("cloud-init_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), str(home / "root")], timeout=60, check=True)
    environment = {"PYTHONPATH": str(library), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/usr/bin/python3", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run
