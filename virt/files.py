"""Files on a host by SSH: checksum, qemu-img, read-only. Only for pools whose volumes are files.

Scripts are constants; every name, path and address is an argument of them.
"""

from django.utils.translation import gettext as _

from virt import qemu_img, ssh
from virt.errors import VirtError
from virt.qemu_img import ImageInfo
from virt.target import Target

SLOWEST_BYTES_S = 20 * 1024 * 1024  # how fast a disk reads at least, for time-outs
DAMAGED = 2
LEAKS = 3


def programs(target: Target, *wanted: str) -> set[str]:
    """Which of these programs the host has."""
    script = 'for name in "$@"; do command -v "$name" >/dev/null && echo "$name"; done; true'
    return set(ssh.run(target, ["sh", "-c", script, "sh", *wanted]).split())


def can_write(target: Target, folder: str) -> bool:
    """Whether our account on the host may make files in this folder."""
    return bool(ssh.run(target, ["sh", "-c", 'test -d "$1" && test -w "$1" && echo yes; true', "sh", folder]).strip())


def can_read(target: Target, path: str) -> bool:
    """Whether our account on the host may read this file."""
    return bool(ssh.run(target, ["sh", "-c", 'test -r "$1" && echo yes; true', "sh", path]).strip())


def size(target: Target, path: str) -> int | None:
    """Length of a file, None if it is not there."""
    text = ssh.run(target, ["stat", "-L", "-c", "%s", "--", path], check=False).strip()
    return int(text) if text.isdigit() else None


def allocated(target: Target, path: str) -> int | None:
    """Bytes that a file takes on its disk, None if it is not there."""
    text = ssh.run(target, ["stat", "-L", "-c", "%b %B", "--", path], check=False).split()
    return int(text[0]) * int(text[1]) if len(text) == 2 else None


def remove(target: Target, path: str) -> None:
    """Delete a file; no error if it is not there."""
    ssh.run(target, ["rm", "-f", "--", path])


def set_mode(target: Target, path: str, mode: int) -> None:
    """Change the permissions of a file."""
    ssh.run(target, ["chmod", f"{mode:04o}", "--", path])


def checksum(target: Target, path: str, algorithm: str, size_bytes: int) -> str:
    """The hexadecimal sha256 or sha512 of a file, computed on the host. Blocks for as long as it reads."""
    if algorithm not in {"sha256", "sha512"}:
        raise ValueError(f"unknown checksum {algorithm!r}")
    timeout_s = 60 + size_bytes / SLOWEST_BYTES_S
    return ssh.run(target, [f"{algorithm}sum", "--", path], timeout_s=timeout_s).split()[0].lstrip("\\")


def image_info(target: Target, path: str, format_: str) -> ImageInfo:
    """`qemu-img info` of one file, read as this format and nothing else. Raises BadImage."""
    argv = ["qemu-img", "info", "-U", "--output=json", "-f", format_, "--", path]
    try:
        return qemu_img.parse_info(ssh.run(target, argv, timeout_s=60))
    except (ssh.CommandFailed, qemu_img.BadInfo) as error:
        technical = error.technical if isinstance(error, VirtError) else str(error)
        raise BadImage(_("QEMU can't read this image."), technical) from error


def check_image(target: Target, path: str, size_bytes: int) -> str:
    """`qemu-img check` of a qcow2 file; returns a remark for harmless faults. Raises BadImage for damage."""
    argv = ["qemu-img", "check", "-U", "-q", "-f", "qcow2", "--", path]
    try:
        ssh.run(target, argv, timeout_s=120 + size_bytes / SLOWEST_BYTES_S)
    except ssh.CommandFailed as failed:
        if failed.code == LEAKS:
            return _("The image wastes some space (leaked clusters), which does no harm.")
        raise BadImage(_("The image is damaged or cut off."), failed.technical) from failed
    return ""


class BadImage(VirtError):
    """The file is not an image that can be used."""
