"""The real guest image: the machine's own distribution with cloud-init, made of its packages, booting by GRUB."""

import hashlib
import os
import shutil
import uuid
from pathlib import Path

from lab import guests, kernels, roots, sources
from lab.config import Lab
from lab.errors import LabError
from lab.system import FILES, run, say, write

PACKAGES = (
    "systemd systemd-sysv libpam-systemd dbus udev kmod initramfs-tools cloud-init cloud-guest-utils netplan.io"
    " openssh-server qemu-guest-agent libnss-myhostname grub-pc-bin grub2-common sudo"
    " iproute2 iputils-ping procps less vim-tiny ca-certificates curl e2fsprogs fdisk"
    " gdisk apt-utils bash-completion zstd"
)
MIB = 1 << 20
DISK_BYTES = 3072 * MIB
PARTITION_START = 1 * MIB
CORE_MODULES = (
    "biosdisk part_msdos part_gpt ext2 normal linux configfile search search_fs_uuid serial terminal echo test"
)
CLOUD = "datasource_list: [NoCloud, ConfigDrive, None]\nssh_genkeytypes: [ed25519, ecdsa]\nlocale: C.UTF-8\n"
CMDLINE = "console=tty0 console=ttyS0,115200 mitigations=off"
DISABLED = (
    "apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service"
    " systemd-networkd-wait-online.service"
)
VERSION = 1


def image(lab: Lab) -> Path:
    """The real guest image, built when it is not there yet (one to two minutes)."""
    lines = [source.line(Path("/")) for source in sources.distribution()]
    parts = [str(VERSION), PACKAGES, CORE_MODULES, CLOUD, CMDLINE, DISABLED, *lines]
    recipe = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    built = lab.images / f"debian-{recipe}.qcow2"
    if not built.exists():
        _build(lab, built)
    guests.publish(lab, "debian", built)
    return built


def _build(lab: Lab, built: Path) -> None:
    say(f"Building the {sources.codename()} guest image with cloud-init ({built})")
    work = lab.images / f"building-{lab.name}-debian"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    roots.bootstrap(lab, f"{PACKAGES} {kernels.meta()}", work)
    root, filesystem = work / "root", str(uuid.uuid4())
    _prepare(root, filesystem)
    disk = work / "disk.raw"
    guests.make_disk(disk, DISK_BYTES, PARTITION_START, kind=0x83, code=_boot_code(root, work))
    blocks = (DISK_BYTES - PARTITION_START) // 4096
    place = ["-E", f"offset={PARTITION_START},root_owner=0:0"]
    run(
        ["mkfs.ext4", "-q", "-F", "-b", "4096", "-L", "root", "-U", filesystem, *place, "-d", root, disk, str(blocks)],
        timeout_s=300,
    )
    convert = ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd"]
    run([*convert, disk, work / "debian.qcow2"], timeout_s=600)
    (work / "debian.qcow2").rename(built)
    shutil.rmtree(work)


def _prepare(root: Path, filesystem: str) -> None:
    """What makes an installed root an image: nothing that belongs to one machine, and how it boots."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    write(root / "etc/machine-id", "")
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    (root / "etc/hostname").unlink(missing_ok=True)
    write(root / "etc/fstab", f"UUID={filesystem} / ext4 defaults,errors=remount-ro 0 1\n")
    write(root / "etc/cloud/cloud.cfg.d/90_lab.cfg", CLOUD)
    write(
        root / "etc/default/grub",
        f'GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="{CMDLINE}"\nGRUB_TERMINAL="console serial"\n',
    )
    run(["chroot", root, "systemctl", "disable", *DISABLED.split()])
    run(["chroot", root, "systemctl", "enable", "systemd-networkd.service", "qemu-guest-agent.service"])
    kernel = _newest(root, "vmlinuz-*").name
    modules = root / "boot/grub/i386-pc"
    shutil.copytree(root / "usr/lib/grub/i386-pc", modules, ignore=shutil.ignore_patterns("*.img", "*.image"))
    config = (FILES / "grub.cfg").read_text()
    for mark, value in {
        "@UUID@": filesystem,
        "@RELEASE@": kernel.removeprefix("vmlinuz-"),
        "@CMDLINE@": CMDLINE,
    }.items():
        config = config.replace(mark, value)
    write(root / "boot/grub/grub.cfg", config)


def _boot_code(root: Path, work: Path) -> bytes:
    """GRUB's first sector and its core, which lie before the partition; no mounted disk is needed to make them."""
    core = work / "core.img"
    argv: list[str | Path] = [
        "chroot",
        root,
        "grub-mkimage",
        "-O",
        "i386-pc",
        "-o",
        "/core.img",
        "-p",
        "(hd0,msdos1)/boot/grub",
    ]
    run([*argv, *CORE_MODULES.split()])
    os.replace(root / "core.img", core)
    if core.stat().st_size > PARTITION_START - 512:
        raise LabError(f"GRUB's core is too large: {core.stat().st_size} bytes")
    first = (root / "usr/lib/grub/i386-pc/boot.img").read_bytes()[:440]
    return first.ljust(512, b"\0") + core.read_bytes()


def _newest(root: Path, pattern: str) -> Path:
    found = sorted((root / "boot").glob(pattern))
    if not found:
        raise LabError(f"no {pattern} in the guest image")
    return found[-1]
