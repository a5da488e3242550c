"""The cluster's certificate authority, with real openssl."""

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from virt.authority import HOST_DAYS, Authority, alternative, is_name, valid_until, why_refused


def request(folder: Path, name: str = "vmhost1") -> str:
    """A request for a certificate, with a key of its own, as a host makes it."""
    words = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    more = ["-subj", f"/CN={name}", "-keyout", str(folder / "key.pem")]
    return subprocess.run([*words, *more], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca").ensure()


def test_it_works(authority: Authority, tmp_path: Path) -> None:
    """Valid for the wished names and as a sender's, whatever the host wrote into its request; for nothing else."""
    certificate = authority.sign(request(tmp_path, "something-else"), ["10.0.0.1", "2001:db8::1", "vmhost1"])
    for name in ("10.0.0.1", "2001:db8::1", "vmhost1", ""):
        assert why_refused(authority.certificate, certificate, name) == ""
    assert "mismatch" in why_refused(authority.certificate, certificate, "10.0.0.2")
    assert "mismatch" in why_refused(authority.certificate, certificate, "something-else")


def test_when_it_ends(authority: Authority, tmp_path: Path) -> None:
    until = valid_until(authority.sign(request(tmp_path), ["vmhost1"]))
    assert until is not None
    assert abs(until - datetime.now(UTC) - timedelta(days=HOST_DAYS)) < timedelta(minutes=1)


def test_made_once_and_for_our_eyes(authority: Authority) -> None:
    before = authority.certificate
    assert Authority(authority.folder).ensure().certificate == before
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(authority.key_file.stat().st_mode) == 0o600


def test_several_come_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: Authority(tmp_path / "ca").ensure().certificate, range(4)))
    assert len(set(made)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca"]


def test_certificate_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").ensure()
    certificate = other.sign(request(tmp_path), ["vmhost1"])
    assert "issuer" in why_refused(authority.certificate, certificate, "vmhost1")


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate(authority: Authority, text: str) -> None:
    assert why_refused(authority.certificate, text, "vmhost1")
    assert why_refused(text, authority.certificate, "vmhost1")
    assert valid_until(text) is None


@pytest.mark.parametrize("name", ["", "a,DNS:b", "a\nb", "a b", "-a", "ä", "x" * 300, "[::1]", "$(id)"])
def test_names_no_certificate_can_have(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(ValueError, match="neither"):
        alternative(name)
