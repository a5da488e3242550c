"""Is this file an image that may be used, and what is it? In the worker; asks the host."""

import hashlib
from dataclasses import dataclass

from django.utils.translation import gettext as _

from hosts.models import Host
from jobs.errors import Failed
from jobs.run import Run
from storage.models import Pool
from virt import files, pools, qemu_img, streams
from virt.connection import connect
from virt.errors import NotFound
from virt.ssh import CommandFailed

READ_ONLY = 0o444
WRITABLE = 0o644
SECTOR_BYTES = 512


@dataclass(frozen=True)
class Found:
    """What a file turned out to be."""

    path: str
    format: str
    is_iso: bool
    size_bytes: int
    virtual_size_bytes: int


def refuse_head(head: bytes) -> None:
    """Raise Failed if a file that begins like this can't be an image."""
    reason = qemu_img.refusal_of_header(head)
    if reason is not None:
        raise Failed(_(reason))
    if _is_text(head):
        raise Failed(_("This is a text, not an image."))


def _is_text(head: bytes) -> bool:
    """Whether all of it is printable text: any file may be called a raw image, but nobody boots a letter."""
    try:
        text = head[:4096].decode()
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if error.start >= 4090 else "\0"
    return all(sign.isprintable() or sign in "\r\n\t\f" for sign in text)


def inspect(run: Run, pool: Pool, host: Host, name: str) -> Found:
    """Look at a stored file; raises Failed or a virt error if it may not be used as an image.

    First its header, read by us: a file that refers to others never reaches a program that would open them.
    """
    run.progress(run.job.percent, _("Checking the image"))
    with connect(host.target) as conn:
        volume = pools.find_volume(conn, pool.name, name)
        if volume is None:
            raise NotFound(_("There is no file “%(name)s” in the pool.") % {"name": name})
        if volume.kind not in {"file", "block", "network"}:
            raise Failed(_("“%(name)s” is not a file.") % {"name": name})
        head = streams.read_head(conn, pool.name, name, qemu_img.HEADER_BYTES)
    refuse_head(head)
    if volume.backing_path:
        raise Failed(_("The image stands on another file (%(path)s).") % {"path": volume.backing_path})
    kind = qemu_img.kind_of_header(head)
    format_ = "qcow2" if kind == "qcow2" else "raw"
    found = Found(
        path=volume.path,
        format=format_,
        is_iso=kind == "iso",
        size_bytes=volume.physical_bytes or volume.allocation_bytes,
        virtual_size_bytes=volume.capacity_bytes,
    )
    if host.target.has_ssh and volume.kind == "file" and files.can_read(host.target, volume.path):
        return _ask_qemu_img(run, host, found)
    if format_ == "qcow2" and volume.format != "qcow2":
        found = Found(found.path, format_, found.is_iso, found.size_bytes, _virtual_size(head))
    run.warn(_("qemu-img could not be asked on this host; only the file's header was checked."))
    return found


def _virtual_size(head: bytes) -> int:
    return int.from_bytes(head[24:32], "big")


def _ask_qemu_img(run: Run, host: Host, found: Found) -> Found:
    size = files.size(host.target, found.path) or found.size_bytes
    run.command("qemu-img", "info", "-f", found.format, found.path)
    if "qemu-img" not in files.programs(host.target, "qemu-img"):
        run.warn(_("This host has no qemu-img; only the file's header was checked."))
        return found
    if found.format == "raw" and size % SECTOR_BYTES:
        raise Failed(_("This is not an image: its length is not a whole number of disk sectors."))
    info = files.image_info(host.target, found.path, found.format)
    reason = qemu_img.refusal(info)
    if reason is not None:
        raise Failed(_(reason))
    if found.format == "qcow2":
        run.command("qemu-img", "check", "-f", "qcow2", found.path)
        remark = files.check_image(host.target, found.path, size)
        if remark:
            run.warn(remark)
    return Found(found.path, found.format, found.is_iso, size, info.virtual_size_bytes)


def checksum(host: Host, pool: Pool, name: str, algorithm: str) -> str:
    """The hexadecimal checksum of a stored file: computed on the host, or here from what libvirt sends. Blocks long."""
    with connect(host.target) as conn:
        volume = pools.find_volume(conn, pool.name, name)
        if volume is None:
            raise NotFound(_("There is no file “%(name)s” in the pool.") % {"name": name})
        by_host = host.target.has_ssh and volume.kind == "file" and files.can_read(host.target, volume.path)
        if by_host and f"{algorithm}sum" in files.programs(host.target, f"{algorithm}sum"):
            return files.checksum(host.target, volume.path, algorithm, volume.physical_bytes)
        total = hashlib.new(algorithm)
        for piece in streams.read_volume(conn, pool.name, name):
            total.update(piece)
        return total.hexdigest()


def protect(run: Run, host: Host, path: str, *, read_only: bool) -> None:
    """Take away (or give back) the right to write to an image's file, where files have rights."""
    if host.target.has_ssh and files.can_read(host.target, path):
        mode = READ_ONLY if read_only else WRITABLE
        run.command("chmod", f"{mode:04o}", path)
        try:
            files.set_mode(host.target, path, mode)
        except CommandFailed as failed:  # an account without the right: the image is as good, only less protected
            run.warn(_("The file could not be made read-only: %(why)s") % {"why": failed.technical})
