"""The lab as a whole: up, down, status."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import (
    cgroups,
    containers,
    faults,
    full,
    guests,
    hosts,
    identity,
    limits,
    network,
    packages,
    roots,
    state,
    storage,
)
from lab.config import CONTAINER, FULL, STORAGE, Host, Lab
from lab.errors import LabError
from lab.system import run, say

KEPT = {"images", "identity", "lock"}


@contextmanager
def only_one(lab: Lab) -> Iterator[None]:
    """Nobody else changes the lab meanwhile; the lock ends with its holder, however that ends."""
    if os.geteuid():
        raise LabError("the lab makes namespaces and mounts: it needs root (sudo)")
    lab.dir.mkdir(parents=True, exist_ok=True)
    with (lab.dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another lab command is at work; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up(lab: Lab, *, with_full: bool = False) -> None:
    """Bring everything up that is not up yet; a second call changes nothing."""
    began = time.monotonic()
    packages.install(["base", "full"] if with_full else ["base"])
    with building(lab):
        _build_images(lab, with_full=with_full)
    limits.raise_limits()
    identity.make_lab_key(lab)
    network.make_switch(lab)
    wanted = [host for host in lab.hosts if host.kind != FULL or with_full or hosts.is_made(lab, host)]
    for host in wanted:
        hosts.prepare(lab, host)
    hosts.write_known_hosts(lab)
    state.update(lab, created_at=int(time.time()))
    together(wanted, lambda host: _bring_up(lab, host))
    say(f"The lab is up after {time.monotonic() - began:.1f} s; see python3 -m lab status and {lab.state_file}")


@contextmanager
def building(lab: Lab) -> Iterator[None]:
    """One lab builds at a time; another that shares its images waits, and then finds them there."""
    lab.images.mkdir(parents=True, exist_ok=True)
    with (lab.images / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_images(lab: Lab, *, with_full: bool) -> None:
    """Root image and tiny guest image, at the same time: one waits for the network while the other works."""
    with ThreadPoolExecutor(2) as pool:
        for result in [pool.submit(roots.build, lab), pool.submit(guests.tiny, lab)]:
            result.result()
    if with_full:
        full.build(lab)


def _bring_up(lab: Lab, host: Host) -> None:
    hosts.start(lab, host)
    hosts.wait_booted(lab, host)
    if host.kind == STORAGE:
        storage.make_volume(lab)
    elif host.kind == CONTAINER:
        containers.warm_libvirt(lab, host)


def together(many: list[Host], work: Callable[[Host], None]) -> None:
    """Do this for all hosts at the same time; the first error counts, after all have ended."""
    with ThreadPoolExecutor(len(many)) as pool:
        for result in [pool.submit(work, host) for host in many]:
            result.result()


def heal(lab: Lab, wanted: Sequence[Host] = ()) -> None:
    """Undo all faults of these hosts (none: of all); the storage first, for the others wait for it."""
    made = [host for host in wanted or lab.hosts if hosts.is_made(lab, host)]
    if not made:
        raise LabError("the lab is down: python3 -m lab up")
    for host in made:
        if host.kind == STORAGE:
            faults.heal(lab, host)
    together([host for host in made if host.kind != STORAGE], lambda host: faults.heal(lab, host))


def down(lab: Lab, *, purge: bool = False) -> None:
    """Remove whatever is there of the lab, half-made or half-gone too; images stay unless `purge`."""
    cgroups.kill(cgroups.lab_group(lab))
    for host in lab.hosts:
        network.detach(lab, host)
    network.remove_switch(lab)
    _unmount_below(lab.dir)
    packages.restore_policy()
    limits.restore_limits()
    for entry in lab.dir.iterdir():
        if purge or entry.name not in KEPT:
            _delete(entry)
    for built in lab.images.glob("*" if purge else f"building-{lab.name}-*"):
        _delete(built)
    say("The lab is down.")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _unmount_below(folder: Path) -> None:
    """Unmount what a killed starter left mounted, innermost first."""
    mounts = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted(mounts, reverse=True):
        if mount.startswith(f"{folder}/"):
            run(["umount", "--lazy", mount])


def status(lab: Lab) -> list[dict[str, Any]]:
    """What each host is doing: off, booting, up, frozen or cut."""
    return [{"name": host.name, "kind": host.kind, "address": lab.address(host), "state": _state(lab, host)}
            for host in lab.hosts]  # fmt: skip


def _state(lab: Lab, host: Host) -> str:
    if not hosts.is_on(lab, host):
        return "off"
    if cgroups.is_frozen(cgroups.host_group(lab, host)):
        return "frozen"
    return "up" if hosts.answers(lab.address(host)) else "no answer"
