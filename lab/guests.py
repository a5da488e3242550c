"""The tiny guest image: Debian's small kernel and a busybox, booting from its own disk in about two seconds."""

import hashlib
import os
import shutil
import struct
from pathlib import Path

from lab import kernels, sources, state
from lab.config import Lab
from lab.errors import LabError
from lab.system import FILES, run, say

MIB = 1 << 20
DISK_BYTES = 64 * MIB
PARTITION_START = 1 * MIB
MODULES = (
    "virtio_pci virtio_blk virtio_net virtio_scsi sr_mod sd_mod ata_piix isofs vfat nls_cp437 nls_iso8859_1 nls_ascii"
    " virtio_balloon virtio_rng button evdev virtio_input"
).split()
SCRIPTS = {"boot": "sbin", "network": "sbin", "network.awk": "sbin", "dhcp": "sbin", "shell": "sbin"}
SCRIPTS |= {"runcmd.awk": "sbin", "inittab": "etc", "dirty": "bin", "tick": "bin"}
MBR_CODE = ("/usr/lib/syslinux/mbr/mbr.bin", "/usr/lib/SYSLINUX/mbr.bin")
VERSION = 1


def tiny(lab: Lab) -> Path:
    """The tiny image, built when it is not there yet or its recipe changed (ten seconds)."""
    parts = [
        str(VERSION),
        sources.codename(),
        *MODULES,
        *(file.read_text() for file in sorted((FILES / "tiny").iterdir())),
    ]
    recipe = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    image = lab.images / f"tiny-{recipe}.qcow2"
    if not image.exists():
        _build_tiny(lab, image)
    publish(lab, "tiny", image)
    return image


def publish(lab: Lab, name: str, image: Path) -> None:
    """Note the image in lab.json and give it a name that stays."""
    named = lab.dir / f"{name}.qcow2"
    lab.dir.mkdir(parents=True, exist_ok=True)
    fresh = named.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(image)
    os.replace(fresh, named)
    state.update_image(lab, name, str(image))


def _build_tiny(lab: Lab, image: Path) -> None:
    say(f"Building the tiny guest image ({image})")
    work = lab.images / f"building-{lab.name}-tiny"
    shutil.rmtree(work, ignore_errors=True)
    kernel = kernels.unpack(kernels.newest(), work / "kernel")
    initrd = _initrd(kernel, work)
    disk = work / "disk.raw"
    make_disk(disk, DISK_BYTES, PARTITION_START, kind=0x0E, code=_mbr_code())
    fat = f"{disk}@@{PARTITION_START}"
    sectors = (DISK_BYTES - PARTITION_START) // 512
    run(
        [
            "mformat",
            "-i",
            fat,
            "-v",
            "TINY",
            "-T",
            str(sectors),
            "-h",
            "16",
            "-s",
            "63",
            "-H",
            str(PARTITION_START // 512),
        ]
    )
    run(["mcopy", "-i", fat, kernel.image, "::/vmlinuz"])
    run(["mcopy", "-i", fat, initrd, "::/initrd"])
    run(["mcopy", "-i", fat, FILES / "tiny/syslinux.cfg", "::/syslinux.cfg"])
    run(["syslinux", "--install", "--offset", str(PARTITION_START), disk])
    run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", "-c", disk, work / "tiny.qcow2"])
    (work / "tiny.qcow2").rename(image)
    shutil.rmtree(work)


def make_disk(disk: Path, size: int, start: int, *, kind: int, code: bytes) -> None:
    """An empty disk with boot code and one active partition of this kind, from byte `start` to the end."""
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start // 512, (size - start) // 512)
    first = code[:440].ljust(440, b"\0") + b"LAB0\0\0" + entry.ljust(64, b"\0") + b"\x55\xaa"
    with disk.open("wb") as file:
        file.write(first + code[512:])
        file.truncate(size)


def _mbr_code() -> bytes:
    for file in MBR_CODE:
        if Path(file).exists():
            return Path(file).read_bytes()
    raise LabError("syslinux's mbr.bin is missing: install syslinux-common")


def _initrd(kernel: kernels.Kernel, work: Path) -> Path:
    """busybox, the drivers and our scripts, as the kernel wants them."""
    root = work / "initrd-root"
    for folder in (
        "bin",
        "sbin",
        "etc/acpi/PWRF",
        "proc",
        "sys",
        "dev/pts",
        "run/seed",
        "root",
        "disk",
        "tmp",
        "lib/modules",
    ):
        (root / folder).mkdir(parents=True)
    shutil.copy2("/bin/busybox", root / "bin/busybox")
    for applet in run([root / "bin/busybox", "--list"]).split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    modules = root / "lib/modules" / kernel.release
    modules.mkdir()
    for file in kernel.module_files(tuple(MODULES)):
        kernels.copy_module(file, modules)
    kernels.index_modules(root, kernel.release)
    for name, folder in SCRIPTS.items():
        shutil.copy(FILES / "tiny" / name, root / folder / name)
        (root / folder / name).chmod(0o755)
    shutil.copy(FILES / "tiny/init", root / "init")
    shutil.copy(FILES / "tiny/power-button", root / "etc/acpi/PWRF/00000080")
    for file in (root / "init", root / "etc/acpi/PWRF/00000080"):
        file.chmod(0o755)
    script = 'cd "$0" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -9 > "$1"'
    run(["sh", "-c", script, root, work / "initrd"])
    return work / "initrd"
