"""Container hosts: systemd-nspawn with a full systemd, an own network namespace and an own cgroup."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from lab import cgroups, identity, network, roots, state
from lab.config import STORAGE, Host, Lab
from lab.errors import LabError
from lab.system import FILES, run, write

# Units that would reach through to the machine below (devices, sysctl, modules) or have no use here.
MASKED = (
    "systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service"
    " systemd-udev-settle.service systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service"
    " proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount dev-hugepages.mount dev-mqueue.mount"
    " sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount"
    " kmod-static-nodes.service systemd-random-seed.service systemd-remount-fs.service systemd-pstore.service"
    " systemd-timesyncd.service systemd-networkd.service systemd-networkd.socket systemd-resolved.service"
    " console-getty.service modprobe@.service"
).split()
NOT_ON_STORAGE = (
    "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"
    " virtlogd.service virtlogd.socket virtlogd-admin.socket"
    " virtlockd.service virtlockd.socket virtlockd-admin.socket systemd-machined.service"
).split()
QEMU_CONF = Path("etc/libvirt/qemu.conf")
# libvirt 11 leaves a QEMU's own /dev empty here. Core files: sudo takes the right to them from what it starts, and only
# a root with CAP_SYS_RESOURCE gets it back.
IN_A_CONTAINER = "namespaces = []\nmax_core = 0\n"
CAPABILITIES = Path("var/cache/libvirt/qemu/capabilities")


def prepare(lab: Lab, host: Host) -> None:
    """Make the disk of a host that has none yet: an empty overlay with what makes it this host."""
    folder = lab.host_dir(host)
    if (folder / "ready").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    upper, root_image, password = folder / "upper", roots.path(lab), identity.new_password()
    upper.mkdir(parents=True)
    identity.write_identity(lab, host, root_image, upper, password)
    identity.mask(upper, tuple(MASKED))
    if host.kind == STORAGE:
        identity.mask(upper, tuple(NOT_ON_STORAGE))
        identity.enable(upper, ("glusterd.service", "lab-dhcp.service"))
        (upper / "etc/lab-dhcp.conf").write_text(_dhcp(lab))
        (folder / "brick").mkdir()
    else:
        _copy_capabilities(lab, upper)
        identity.mirror(root_image, upper, str(QEMU_CONF.parent))
        write(upper / QEMU_CONF, (root_image / QEMU_CONF).read_text() + IN_A_CONTAINER, 0o600)
        (folder / "images").mkdir(mode=0o711)
    state.update_host(
        lab, host, name=host.name, address=lab.address(host), kind=host.kind, user="root", password=password
    )
    (folder / "ready").write_text(str(root_image))


def start(lab: Lab, host: Host) -> None:
    """Power the host on, if it is off; returns before it has booted."""
    group = cgroups.host_group(lab, host)
    if cgroups.is_populated(group):
        return
    cgroups.kill(group)
    network.attach(lab, host)
    cgroups.make(group / "keeper")
    cgroups.make(group / "run")
    folder = lab.host_dir(host)
    env = {
        "HOST_NAME": host.name,
        "HOST_NETNS": lab.netns(host),
        "HOST_GROUP": str(group.relative_to(cgroups.root())),
        "HOST_DIR": str(folder),
        "HOST_LOWER": (folder / "ready").read_text(),
        "LAB_SOURCE": str(Path(__file__).resolve().parent.parent),
        "LAB_PYTHON": sys.executable,
        "LAB_NAME": lab.name,
        "LAB_SUBNET": lab.subnet,
        "LAB_IMAGES": str(lab.images),
        "DROVER_VAR": str(lab.var),
    }
    argv: list[str | Path] = [FILES / "container-start.sh", *_binds(lab, host)]
    cgroups.start_in(group / "keeper", argv, folder / "console.log", env)


def _binds(lab: Lab, host: Host) -> list[str]:
    """Devices and folders of the machine that the host gets."""
    folder = lab.host_dir(host)
    binds = ["--bind=/dev/net/tun", "--bind=/dev/fuse"]
    if host.kind == STORAGE:
        return [*binds, f"--bind={folder / 'brick'}:/srv/brick"]
    if kvm_is_usable():
        binds.append("--bind=/dev/kvm")
    return [*binds, f"--bind={folder / 'images'}:/var/lib/libvirt/images"]


def kvm_is_usable() -> bool:
    """True when guests can run on the machine's own virtualisation; a lone /dev/kvm proves nothing."""
    if os.environ.get("LAB_KVM", "auto") == "off":
        return False
    words = Path("/proc/cpuinfo").read_text().split()
    return Path("/dev/kvm").exists() and ("vmx" in words or "svm" in words)


def leader(lab: Lab, host: Host) -> int:
    """The machine's pid of the host's own process 1; LabError when the host is off."""
    group = cgroups.host_group(lab, host)
    for file in group.glob("run/**/init.scope/cgroup.procs"):
        if pids := file.read_text().split():
            return int(pids[0])
    raise LabError(f"{host.name} is off")


def execute(lab: Lab, host: Host, argv: list[str], timeout_s: float = 60) -> str:
    """Run a program on a container host without using its network."""
    # --root: inside a chroot nspawn can't pivot, and the mount namespace's own root is then not the host's
    spaces = ["--mount", "--root", "--wd", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
    entered = ["nsenter", "--target", str(leader(lab, host)), *spaces]
    group = cgroups.host_group(lab, host) / "keeper"
    return run(cgroups.inside(group, [*entered, "--", *argv]), timeout_s=timeout_s)


def warm_libvirt(lab: Lab, host: Host) -> None:
    """Let libvirt look at its QEMU now, not when the first guest starts; keep what it found for the other hosts."""
    execute(lab, host, ["virsh", "capabilities"], timeout_s=90)
    kept = roots.path(lab).with_suffix(".capabilities")
    found = lab.host_dir(host) / "upper" / CAPABILITIES
    if kept.is_dir() or not found.is_dir():
        return
    fresh = kept.with_suffix(f".{lab.name}-{host.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(found, fresh)
    with suppress(OSError):
        fresh.rename(kept)
    shutil.rmtree(fresh, ignore_errors=True)


def _copy_capabilities(lab: Lab, upper: Path) -> None:
    kept = roots.path(lab).with_suffix(".capabilities")
    if kept.is_dir():
        identity.mirror(roots.path(lab), upper, str(CAPABILITIES.parent))
        shutil.copytree(kept, upper / CAPABILITIES)


def _dhcp(lab: Lab) -> str:
    lines = [
        "port=0", "interface=br0", "bind-interfaces", f"dhcp-range={lab.subnet}.100,{lab.subnet}.199,1h",
        "dhcp-option=3", "dhcp-option=6", "dhcp-leasefile=/var/lib/misc/lab.leases", "dhcp-authoritative", "log-dhcp",
    ]  # fmt: skip
    return "\n".join([*lines, ""])
