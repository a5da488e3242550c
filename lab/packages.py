"""Installs the Debian packages that the lab needs on the machine, and nothing that is there already."""

import os
from collections.abc import Iterable
from pathlib import Path

from lab.errors import LabError
from lab.system import run, say, write

LIST = Path(__file__).resolve().parent / "packages.txt"
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_SET_ASIDE = Path("/usr/sbin/policy-rc.d.before-lab")
NO_STARTS = "#!/bin/sh\n# The lab installs packages and wants no daemon started.\nexit 101\n"


def wanted(groups: Iterable[str]) -> list[str]:
    """Names of the packages of these groups, from packages.txt."""
    lines = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [name for group, name in lines if group in set(groups)]


def missing(names: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed."""
    return [name for name in names if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    info = Path("/var/lib/dpkg/info")
    if not (info / f"{name}.list").exists() and not any(info.glob(f"{name}:*.list")):
        return False
    return run(["dpkg-query", "-W", "-f", "${db:Status-Status} ", name]).split() == ["installed"]


def install(groups: Iterable[str]) -> list[str]:
    """Install what is missing of these groups and return it; says so first, starts no daemon."""
    names = missing(wanted(groups))
    if not names:
        return []
    if os.geteuid():
        raise LabError(f"these packages are missing, and only root can install them: {' '.join(names)}")
    say(f"Installing packages: {' '.join(names)}")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    _forbid_starts()
    try:
        run([*apt, "update"], env=env, timeout_s=600)
        run([*apt, "install", "--no-install-recommends", *names], env=env, timeout_s=1800)
    finally:
        restore_policy()
    return names


def _forbid_starts() -> None:
    """Put our policy-rc.d in place; whatever was there waits beside it."""
    if POLICY.exists() and POLICY.read_text() != NO_STARTS and not POLICY_SET_ASIDE.exists():
        POLICY.rename(POLICY_SET_ASIDE)
    write(POLICY, NO_STARTS, 0o755)


def restore_policy() -> None:
    """Bring back what `_forbid_starts` set aside, also when its process was killed."""
    if POLICY.exists() and POLICY.read_text() == NO_STARTS:
        POLICY.unlink()
    if POLICY_SET_ASIDE.exists():
        POLICY_SET_ASIDE.rename(POLICY)
