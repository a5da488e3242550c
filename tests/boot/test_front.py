"""Where the front listens, and what it writes."""

from pathlib import Path

import pytest

from scripts.front import BadSetting, Listen, certificate, write_nginx


@pytest.mark.parametrize(
    ("text", "directive", "is_private"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000", True),
        ("8001", "127.0.0.1:8001", True),
        ("localhost:8001", "127.0.0.1:8001", True),
        ("[::1]:8000", "[::1]:8000", True),
        (":8443", "0.0.0.0:8443", False),
        ("[::]:8443", "[::]:8443", False),
        ("192.0.2.7:443", "192.0.2.7:443", False),
    ],
)
def test_listen(text: str, directive: str, is_private: bool) -> None:
    listen = Listen.parse(text)
    assert (listen.directive, listen.is_private) == (directive, is_private)


@pytest.mark.parametrize(
    "text", ["", "8000;", "127.0.0.1:0", "127.0.0.1:70000", "drover.example:8000", "1.2.3:80", "::"]
)
def test_listen_refuses(text: str) -> None:
    with pytest.raises(BadSetting, match="DROVER_LISTEN"):
        Listen.parse(text)


def test_nginx_writes_below_its_folder_only(tmp_path: Path) -> None:
    write_nginx(tmp_path, Listen.parse("8000"), None)
    text = (tmp_path / "run" / "nginx.conf").read_text()
    paths = [word.strip('";') for line in text.splitlines() for word in line.split() if word.startswith('"/')]
    assert len(paths) > 6
    assert all(path.startswith(str(tmp_path)) for path in paths)
    assert "listen 127.0.0.1:8000;" in text


def test_nginx_refuses_a_path_that_would_be_a_directive(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="path"):
        write_nginx(tmp_path / 'a"; include /etc/passwd; #', Listen.parse("8000"), None)


def test_certificate_is_made_once(tmp_path: Path) -> None:
    made = certificate(tmp_path, "", "")
    again = certificate(tmp_path, "", "")
    assert made.fingerprint == again.fingerprint
    assert not made.is_own
    assert made.key.stat().st_mode & 0o077 == 0


def test_a_given_certificate_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="DROVER_TLS_CERT"):
        certificate(tmp_path, str(tmp_path / "none.pem"), str(tmp_path / "none.key"))
    with pytest.raises(BadSetting, match="DROVER_TLS_KEY"):
        certificate(tmp_path, str(Path(__file__)), "")
