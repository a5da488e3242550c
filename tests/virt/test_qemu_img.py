"""Images from outside, made by the real qemu-img: which may be used, and what people are told about the others."""

import gzip
import json
import lzma
import subprocess
from pathlib import Path

import pytest

from virt import qemu_img
from virt.qemu_img import BadInfo, kind_of_header, parse_info, refusal, refusal_of_header

MIB = 1024**2


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def _create(path: Path, *options: str, size: str = "4M") -> Path:
    _run("qemu-img", "create", "-q", *options, str(path), *([size] if size else []))
    return path


def _info(path: Path, *options: str) -> qemu_img.ImageInfo:
    return parse_info(_run("qemu-img", "info", "--output=json", *options, str(path)))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(qemu_img.HEADER_BYTES)


@pytest.mark.parametrize("disk_format", ["qcow2", "raw"])
def test_it_works(disk_format: str, tmp_path: Path) -> None:
    path = _create(tmp_path / "disk", "-f", disk_format)
    info = _info(path)

    assert (info.path, info.format, info.virtual_size_bytes) == (str(path), disk_format, 4 * MIB)
    assert info.actual_size_bytes < MIB
    assert refusal(info) is None
    assert refusal_of_header(_head(path)) is None


def test_old_qcow2_and_what_qemu_img_tells(tmp_path: Path) -> None:
    path = _create(tmp_path / "disk", "-f", "qcow2", "-o", "compat=0.10,cluster_size=4096")
    _run("qemu-img", "snapshot", "-c", "before", str(path))
    info = _info(path)

    assert (info.cluster_size_bytes, info.snapshots) == (4096, ("before",))
    assert (info.is_encrypted, info.is_corrupt, info.is_dirty) == (False, False, False)
    assert refusal(info) is None
    assert refusal_of_header(_head(path)) is None


def test_a_backing_file_is_refused(tmp_path: Path) -> None:
    base = _create(tmp_path / "base.raw", "-f", "raw")
    mid = _create(tmp_path / "mid", "-f", "qcow2", "-b", str(base), "-F", "raw", size="")
    top = _create(tmp_path / "top", "-f", "qcow2", "-b", "mid", "-F", "qcow2", size="")

    info = _info(top, "--backing-chain")
    assert (info.backing_file, info.backing_format) == (str(mid), "qcow2")
    assert [(image.path, image.format) for image in info.chain] == [(str(mid), "qcow2"), (str(base), "raw")]
    assert "stands on another file" in str(refusal(info))
    assert "stands on another file" in str(refusal_of_header(_head(top)))


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    path = _create(tmp_path / "disk", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}")

    assert _info(path).data_file == str(tmp_path / "data")
    assert "data in another file" in str(refusal(_info(path)))
    assert "data in another file" in str(refusal_of_header(_head(path)))


def test_encryption_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    options = ["--object", f"secret,id=s,file={secret}", "-f", "qcow2"]
    path = _create(tmp_path / "disk", *options, "-o", "encrypt.format=aes,encrypt.key-secret=s")

    assert _info(path).is_encrypted
    assert refusal(_info(path)) == "The image is encrypted."
    assert refusal_of_header(_head(path)) == "The image is encrypted."


@pytest.mark.parametrize("disk_format", ["vmdk", "vdi", "vhdx", "vpc", "qed"])
def test_other_formats_are_refused_by_name(disk_format: str, tmp_path: Path) -> None:
    path = _create(tmp_path / "disk", "-f", disk_format, size="16M")

    assert f"This is a {disk_format} image" in str(refusal(_info(path, "-f", disk_format)))
    assert "only qcow2 and raw" in str(refusal_of_header(_head(path)))


def test_damage_is_told(tmp_path: Path) -> None:
    path = _create(tmp_path / "disk", "-f", "qcow2")
    head = bytearray(_head(path))

    assert refusal_of_header(bytes(head[:60])) == "The image is cut off."
    assert refusal_of_header(b"") == "The file is empty."
    corrupt = bytearray(head)
    corrupt[79] |= 2
    path.write_bytes(corrupt)
    assert refusal_of_header(bytes(corrupt)) == "The image is marked as damaged."
    assert _info(path).is_corrupt
    assert refusal(_info(path)) == "The image is marked as damaged."
    for offset, value, words in ((7, 1, "version 1"), (23, 40, "cluster size"), (31, 0, None)):
        changed = bytearray(head)
        changed[24:32] = changed[24:32] if offset != 31 else bytes(8)
        changed[offset] = value
        assert (words or "empty") in str(refusal_of_header(bytes(changed)))


def test_a_truncated_image_still_has_its_header(tmp_path: Path) -> None:
    """The header alone cannot tell; qemu-img check does, after the upload."""
    path = _create(tmp_path / "disk", "-f", "qcow2")
    path.write_bytes(path.read_bytes()[:4096])

    assert refusal_of_header(_head(path)) is None
    assert subprocess.run(["qemu-img", "check", "-q", str(path)], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (gzip.compress(b"x" * 999, mtime=0), "packed (gzip)"),
        (lzma.compress(b"x" * 999), "packed (xz)"),
        (b"BZh91AY", "packed (bzip2)"),
        (b"PK\x03\x04", "packed (zip)"),
        (b"\x28\xb5\x2f\xfd", "packed (zstd)"),
        (b"\0" * 257 + b"ustar", "packed (tar)"),
        (b"\n<!DOCTYPE html>\n<html>", "web page"),
        (b'<?xml version="1.0"?><Error><Code>NoSuchKey', "web page"),
    ],
)
def test_what_is_no_image_is_refused_at_its_first_bytes(head: bytes, words: str) -> None:
    assert words in str(refusal_of_header(head))


def test_an_iso_is_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    _run("genisoimage", "-quiet", "-o", str(tmp_path / "x.iso"), str(tmp_path / "file"))

    assert kind_of_header(_head(tmp_path / "x.iso")) == "iso"
    assert refusal_of_header(_head(tmp_path / "x.iso")) is None


def test_an_empty_raw_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.touch()

    assert refusal(_info(path)) == "The image is empty."


def test_names_in_messages_are_made_harmless() -> None:
    info = parse_info(json.dumps({"format": "qcow2", "virtual-size": 1, "backing-filename": "a\n\x1b[31m" + "b" * 300}))
    message = str(refusal(info))

    assert "a??[31mbbb" in message
    assert len(message) < 250


@pytest.mark.parametrize("text", ["", "no", "[]", "[1]", "3", "{", "[" * 100_000, '{"a": ' * 100_000])
def test_what_qemu_img_never_says(text: str) -> None:
    with pytest.raises(BadInfo):
        parse_info(text)


def test_values_of_the_wrong_kind_do_no_harm() -> None:
    info = parse_info(
        '{"format": 7, "virtual-size": "big", "actual-size": true, "snapshots": {"a": 1}, "format-specific": [1]}'
    )

    assert (info.format, info.virtual_size_bytes, info.actual_size_bytes, info.snapshots) == ("", 0, 0, ())
    assert refusal(info) is not None
