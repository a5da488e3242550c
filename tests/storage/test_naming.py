"""Names of families, versions and files; addresses and checksums that people type."""

import pytest

from jobs.errors import Refused
from storage import naming

SHA = "a" * 64


@pytest.mark.parametrize("value", ["debian-12", "1", "2026.11", " padded "])
def test_words_that_may_be(value: str) -> None:
    assert naming.check_word(value, "name", 64) == value.strip()


@pytest.mark.parametrize(
    "value", ["", " ", "../etc", "a/b", "a;reboot", "$(id)", "<b>", "a b", "-x", "ümlaut", "a\nb", "🐧", "a" * 65, ".x"]
)
def test_words_that_may_not(value: str) -> None:
    with pytest.raises(Refused) as refused:
        naming.check_word(value, "name", 64)
    assert refused.value.field == "name"


@pytest.mark.parametrize("value", ["http://a/b.img", "https://h.example:8443/x?y=z", "HTTPS://h/x"])
def test_addresses_that_may_be(value: str) -> None:
    assert naming.check_url(value, "url") == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "file:///etc/passwd",
        "ftp://h/x",
        "gopher://h/x",
        "http://",
        "http://user:secret@h/x",
        "http://h/x y",
        "http://h/\nx",
        "http://h:99999/x",
        "http://[::1/x",
        "--output",
        "http://h/" + "a" * 2000,
    ],
)
def test_addresses_that_may_not(value: str) -> None:
    with pytest.raises(Refused) as refused:
        naming.check_url(value, "url")
    assert refused.value.field == "url"


def test_checksums() -> None:
    assert naming.check_checksum("", "checksum") == ""
    assert naming.check_checksum(SHA.upper(), "checksum") == f"sha256:{SHA}"
    assert naming.check_checksum(f"sha256:{SHA}", "checksum") == f"sha256:{SHA}"
    assert naming.check_checksum("b" * 128, "checksum") == "sha512:" + "b" * 128
    assert naming.check_checksum("https://h/SHA256SUMS", "checksum") == "https://h/SHA256SUMS"
    for bad in ("abc", "g" * 64, f"md5:{SHA}", f"sha512:{SHA}", "SHA256SUMS"):
        with pytest.raises(Refused):
            naming.check_checksum(bad, "checksum")


def test_lists_of_checksums() -> None:
    text = f"# list\n{'0' * 64}  other.img\n{SHA} *debian 12.qcow2\nSHA512 (bsd.iso) = {'c' * 128}\n"
    assert naming.find_checksum(text, "debian 12.qcow2") == f"sha256:{SHA}"
    assert naming.find_checksum(text, "bsd.iso") == "sha512:" + "c" * 128
    assert naming.find_checksum(text, "missing.img") is None
    assert naming.find_checksum(f"{SHA}  ./sub/x.img", "x.img") == f"sha256:{SHA}"


def test_file_names() -> None:
    assert naming.file_name_of("https://h/a/debian%2012.qcow2?x=1") == "debian 12.qcow2"
    assert naming.volume_name("debian", "1", "https://h/x.QCOW2") == "debian-1.qcow2"
    assert naming.volume_name("debian", "1", "https://h/download") == "debian-1.img"
