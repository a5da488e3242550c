"""Is this file a disk image, and may it be used? Pure functions over `qemu-img info` and first bytes."""

import json
from dataclasses import dataclass
from typing import Any

FORMATS = ("raw", "qcow2")
HEADER_BYTES = 64 * 1024

_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"QED\0", "qed"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"BZh", "bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (257, b"ustar", "tar"),
    (0x8001, b"CD001", "iso"),
)
_WRONG_FORMAT = "This is a {} image; only qcow2 and raw can be used. Convert it with qemu-img."
_PACKED = ("gzip", "xz", "bzip2", "zstd", "zip", "7z", "tar")
_INCOMPATIBLE_CORRUPT = 1 << 1
_INCOMPATIBLE_DATA_FILE = 1 << 2
_CLUSTER_BITS_MIN, _CLUSTER_BITS_MAX = 9, 21


class BadInfo(ValueError):
    """The text is not what qemu-img info prints."""


@dataclass(frozen=True)
class ImageInfo:
    """What qemu-img info says about one image; `chain` holds those below it, nearest first, if asked for."""

    path: str
    format: str
    virtual_size_bytes: int
    actual_size_bytes: int
    backing_file: str = ""
    backing_format: str = ""
    data_file: str = ""
    is_encrypted: bool = False
    is_corrupt: bool = False
    is_dirty: bool = False
    cluster_size_bytes: int = 0
    snapshots: tuple[str, ...] = ()
    chain: tuple["ImageInfo", ...] = ()


def parse_info(json_text: str) -> ImageInfo:
    """Read `qemu-img info --output=json`, with or without --backing-chain. Raises BadInfo.

    For a file from outside ask without --backing-chain, after refusal_of_header has let it pass: qemu-img
    opens what an image refers to.
    """
    try:
        data = json.loads(json_text)
    except (ValueError, RecursionError) as err:
        raise BadInfo("qemu-img did not answer with JSON") from err
    images = data if isinstance(data, list) else [data]
    if not images or not all(isinstance(image, dict) for image in images):
        raise BadInfo("qemu-img did not describe an image")
    chain = tuple(_image(image, ()) for image in images[1:])
    return _image(images[0], chain)


def _image(data: dict[str, Any], chain: tuple[ImageInfo, ...]) -> ImageInfo:
    specific = data.get("format-specific")
    details = specific.get("data") if isinstance(specific, dict) else None
    details = details if isinstance(details, dict) else {}
    snapshots = data.get("snapshots")
    return ImageInfo(
        path=_text(data, "filename"),
        format=_text(data, "format"),
        virtual_size_bytes=_size(data, "virtual-size"),
        actual_size_bytes=_size(data, "actual-size"),
        backing_file=_text(data, "full-backing-filename") or _text(data, "backing-filename"),
        backing_format=_text(data, "backing-filename-format"),
        data_file=_text(details, "data-file"),
        is_encrypted=data.get("encrypted") is True or "encrypt" in details,
        is_corrupt=details.get("corrupt") is True,
        is_dirty=data.get("dirty-flag") is True,
        cluster_size_bytes=_size(data, "cluster-size"),
        snapshots=tuple(
            _text(item, "name") for item in (snapshots if isinstance(snapshots, list) else []) if isinstance(item, dict)
        ),
        chain=chain,
    )


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key, "")
    return value if isinstance(value, str) else ""


def _size(data: dict[str, Any], key: str) -> int:
    value = data.get(key, 0)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def refusal(info: ImageInfo) -> str | None:
    """Why an image from outside may not be used as it is, in plain words; None if it may."""
    if info.format not in FORMATS:
        return _WRONG_FORMAT.format(info.format or "nameless")
    if info.backing_file:
        return f"The image stands on another file ({_short(info.backing_file)}) and is not complete without it."
    if info.data_file:
        return f"The image keeps its data in another file ({_short(info.data_file)}), which is not here."
    if info.is_encrypted:
        return "The image is encrypted."
    if info.is_corrupt:
        return "The image is marked as damaged."
    if info.virtual_size_bytes <= 0:
        return "The image is empty."
    return None


def _short(name: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in name[:120])


def kind_of_header(head: bytes) -> str:
    """What a file is by its first HEADER_BYTES: qcow2, iso, vmdk, gzip, html... or raw, which all may be."""
    for offset, magic, kind in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return kind
    start = head[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "html"
    return "raw"


def refusal_of_header(head: bytes) -> str | None:
    """Why a file that begins with `head` cannot be an image, before qemu-img sees it; None if it may be one.

    Good for the first piece of an upload or download: a wrong file is refused at once, and an image that
    refers to other files never reaches a program that would open them.
    """
    if not head:
        return "The file is empty."
    kind = kind_of_header(head)
    if kind in _PACKED:
        return f"The file is packed ({kind}). Unpack it first."
    if kind == "html":
        return "This is a web page, not an image. Is the address right?"
    if kind == "qcow2":
        return _refusal_of_qcow2(head)
    if kind not in ("raw", "iso"):
        return _WRONG_FORMAT.format(kind)
    return None


def _refusal_of_qcow2(head: bytes) -> str | None:
    """The fixed header of QEMU's docs/interop/qcow2.txt, big endian."""
    if len(head) < 72:
        return "The image is cut off."
    version, backing_offset = _field(head, 4, 4), _field(head, 8, 8)
    if version not in (2, 3):
        return f"This is qcow version {version}; only versions 2 and 3 are known."
    if backing_offset:
        return "The image stands on another file and is not complete without it."
    if not _CLUSTER_BITS_MIN <= _field(head, 20, 4) <= _CLUSTER_BITS_MAX:
        return "The image is damaged: its cluster size cannot be."
    if _field(head, 32, 4):
        return "The image is encrypted."
    if _field(head, 24, 8) == 0:
        return "The image is empty."
    incompatible = _field(head, 72, 8) if version == 3 else 0
    if incompatible & _INCOMPATIBLE_DATA_FILE:
        return "The image keeps its data in another file and is not complete without it."
    if incompatible & _INCOMPATIBLE_CORRUPT:
        return "The image is marked as damaged."
    return None


def _field(head: bytes, offset: int, length: int) -> int:
    return int.from_bytes(head[offset : offset + length], "big")
