"""The root image that all hosts share: built once with mmdebstrap, then only read.

A container host sees it below an overlay of its own; the full hosts get it as an ext4 disk.
"""

import functools
import hashlib
import shutil
from pathlib import Path

from lab import cgroups, sources
from lab.config import Lab
from lab.system import FILES, link, run, say, write

PACKAGES = (
    "systemd systemd-sysv dbus udev kmod procps psmisc iproute2 iputils-ping ethtool less netcat-openbsd"
    " openssh-server openssh-client ca-certificates curl"
    " libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients"
    " libvirt-daemon-config-network libvirt-daemon-config-nwfilter qemu-system-x86 qemu-utils qemu-block-extra"
    " ovmf dnsmasq-base iptables nftables glusterfs-server glusterfs-client nfs-common nfs-kernel-server"
)
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
DISABLED = (
    "glusterd glustereventsd nfs-server nfs-blkmap nfs-client.target rpcbind.service rpcbind.socket rpc-statd-notify"
    " libvirt-guests nftables dnsmasq e2scrub_reap e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer"
    " dpkg-db-backup.timer fstrim.timer logrotate.timer man-db.timer getty@tty1"
).split()
SSHD = "PermitRootLogin yes\nPasswordAuthentication yes\nUseDNS no\nMaxStartups 200:30:400\nMaxSessions 200\n"
JOURNALD = "[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\nForwardToSyslog=no\n"
LOGIND = "[Login]\nNAutoVTs=0\nReserveVT=0\n"
COPIED = {"lab-init": "usr/local/sbin", "lab-network": "usr/local/sbin"}
COPIED |= dict.fromkeys(("lab-dhcp.service", "lab-network.service"), "etc/systemd/system")
# Raised when _prepare changes: then all images are built anew.
VERSION = 2


@functools.cache
def recipe() -> str:
    """What the image is made of, in one hash: another recipe, another image."""
    lines = [source.line(Path("/")) for source in sources.distribution()]
    parts = [
        str(VERSION),
        PACKAGES,
        *lines,
        *LEFT_OUT,
        *DISABLED,
        SSHD,
        JOURNALD,
        LOGIND,
        Path(__file__).read_text(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def path(lab: Lab) -> Path:
    """Where the root image is, or will be."""
    return lab.images / f"root-{recipe()}"


def build(lab: Lab) -> Path:
    """The root image, built when it is not there yet (one to two minutes)."""
    root = path(lab)
    if root.is_dir():
        return root
    work = lab.images / f"building-{lab.name}-root"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    say(f"Building the hosts' root image ({work.parent / root.name}), once; log: {work}/log")
    bootstrap(lab, PACKAGES, work)
    _prepare(work / "root")
    (work / "root").rename(root)
    shutil.rmtree(work)
    return root


def bootstrap(lab: Lab, packages: str, work: Path, *more: str) -> None:
    """Unpack and configure these packages and what they need into `work`/root, from the machine's own archives."""
    listed = work / "machine.list"
    write(listed, "".join(f"{source.line(work)}\n" for source in sources.distribution()))
    argv: list[str | Path] = [
        "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
        '--aptopt=APT::Install-Recommends "false"', "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        *sources.options(), f"--include={','.join(packages.split())}", *more,
        sources.codename(), work / "root", listed,
    ]  # fmt: skip
    group = cgroups.make(cgroups.lab_group(lab) / "build")
    run(cgroups.inside(group, argv), timeout_s=1800, log=work / "log")


def _prepare(root: Path) -> None:
    """What is the same on every host."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    write(root / "etc/ssh/sshd_config.d/lab.conf", SSHD)
    write(root / "etc/systemd/journald.conf.d/lab.conf", JOURNALD)
    write(root / "etc/systemd/logind.conf.d/lab.conf", LOGIND)
    write(root / "etc/resolv.conf", "")
    write(
        root / "etc/default/libvirtd",
        "# stays up when idle: the faults of the lab need it there\nLIBVIRTD_ARGS=\n",
    )
    _append(root / "etc/libvirt/libvirtd.conf", 'host_uuid_source = "machine-id"\n')
    _append(root / "etc/libvirt/qemu.conf", 'security_driver = "none"\n')
    write(root / "etc/machine-id", "")
    for file, folder in COPIED.items():
        shutil.copy(FILES / file, root / folder / file)
    run(["chroot", root, "systemctl", "set-default", "multi-user.target"])
    for unit in DISABLED:
        link_exists = any((root / "usr/lib/systemd/system").glob(f"{unit.partition('@')[0]}*"))
        if link_exists:
            run(["chroot", root, "systemctl", "disable", unit])
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    link(root / "etc/systemd/system/systemd-firstboot.service", "/dev/null")


def _append(file: Path, line: str) -> None:
    with file.open("a") as stream:
        stream.write(line)
