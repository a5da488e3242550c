"""The distribution's kernel for guests: fetched as packages, unpacked, never installed on the machine."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.system import run, succeeds

# Small flavours for virtual machines: Debian's and Ubuntu's.
META = ("linux-image-cloud-amd64", "linux-image-virtual")


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: its release name and the folder with boot/ and lib/modules/ (or usr/lib/modules/)."""

    release: str
    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        usr = self.folder / "usr/lib/modules" / self.release
        return usr if usr.is_dir() else self.folder / "lib/modules" / self.release

    def module_files(self, names: tuple[str, ...]) -> list[Path]:
        """Files of these modules and of what they need, in loading order; what is built in has none."""
        known: dict[str, tuple[Path, list[str]]] = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            file, _, needs = line.partition(":")
            known[_module(file)] = (self.modules / file, [_module(need) for need in needs.split()])
        order: list[Path] = []

        def add(name: str) -> None:
            if name in known and known[name][0] not in order:
                for need in reversed(known[name][1]):
                    add(need)
                order.append(known[name][0])

        for name in names:
            add(name)
        return order


def meta() -> str:
    """The package that always depends on the release's newest small kernel."""
    for name in META:
        if _needed(name, r"linux-image-\d\S+"):
            return name
    raise LabError(f"apt knows no kernel for guests ({' or '.join(META)}): run apt-get update")


def newest() -> list[str]:
    """Names of the packages that make the newest small kernel."""
    image = _needed(meta(), r"linux-image-\d\S+")[0]
    return sorted({image, *_needed(image, r"linux-modules-\d\S+")})


def unpack(names: list[str], folder: Path) -> Kernel:
    """Fetch the packages and unpack them below `folder`."""
    debs = folder / "debs"
    shutil.rmtree(folder, ignore_errors=True)
    debs.mkdir(parents=True)
    script = 'cd "$0" && exec apt-get -q -o APT::Sandbox::User=root download "$@"'
    run(["sh", "-c", script, debs, *names], timeout_s=600)
    for deb in debs.glob("*.deb"):
        run(["dpkg-deb", "--extract", deb, folder])
    image = next((folder / "boot").glob("vmlinuz-*"))
    kernel = Kernel(image.name.removeprefix("vmlinuz-"), folder)
    index_modules(folder, kernel.release)
    return kernel


def index_modules(folder: Path, release: str) -> None:
    """Run depmod; releases differ in whether it looks in lib or in usr/lib, so that both must lead there."""
    for here, there in (("lib", "usr/lib"), ("usr/lib", "lib")):
        if (folder / there / "modules").is_dir() and not (folder / here / "modules").exists():
            (folder / here).mkdir(parents=True, exist_ok=True)
            (folder / here / "modules").symlink_to(os.path.relpath(folder / there / "modules", folder / here))
    run(["depmod", "--basedir", folder, release])


def copy_module(file: Path, folder: Path) -> None:
    """Copy a driver, unpacked: busybox knows fewer compressions than distributions use."""
    target = folder / f"{file.name.partition('.ko')[0]}.ko"
    unpackers = {".xz": ["xz", "-dc"], ".zst": ["zstd", "-dc"], ".gz": ["gzip", "-dc"]}
    if file.suffix not in unpackers:
        shutil.copyfile(file, target)
        return
    run(["sh", "-c", 'exec "$@" > "$0"', target, *unpackers[file.suffix], file])


def _needed(package: str, pattern: str) -> list[str]:
    """What the package depends on, as far as the name fits; nothing when apt does not know the package."""
    if not succeeds(["apt-cache", "show", package]):
        return []
    words = run(["apt-cache", "depends", "--no-recommends", "--no-suggests", package]).split()
    return [word for word in words if re.fullmatch(pattern, word)]


def _module(file: str) -> str:
    return Path(file).name.partition(".ko")[0].replace("-", "_")
