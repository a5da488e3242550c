"""The machine's package sources, in whichever form they are written."""

from pathlib import Path

import pytest

from lab import config, packages, sources
from lab.errors import LabError

LIST = """# comment
deb http://mirror.example.net/debian trixie main contrib # trailing
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg trusted=yes] https://example.org/debian trixie-updates main
deb-src http://mirror.example.net/debian trixie main
"""
STANZAS = """Types: deb
# a comment inside
URIs: http://mirror.example.net/debian http://mirror.example.org/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example.org/
Suites: trixie
Components: main

Types: deb deb-src
URIs: http://security.debian.org/debian-security
Suites: trixie-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEAAAA
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_one_line_sources() -> None:
    first, second = sources.parse_list(LIST)
    assert first.line(Path("/keys")) == "deb http://mirror.example.net/debian trixie main contrib"
    assert second.options == {"signed-by": "/usr/share/keyrings/x.gpg", "trusted": "yes"}


def test_stanzas() -> None:
    found = list(sources.parse_deb822(STANZAS))
    assert [(source.uri, source.suite) for source in found] == [
        ("http://mirror.example.net/debian", "trixie"),
        ("http://mirror.example.net/debian", "trixie-updates"),
        ("http://mirror.example.org/debian", "trixie"),
        ("http://mirror.example.org/debian", "trixie-updates"),
        ("http://security.debian.org/debian-security", "trixie-security"),
    ]


def test_a_key_inside_a_source_becomes_a_file(tmp_path: Path) -> None:
    source = list(sources.parse_deb822(STANZAS))[-1]
    line = source.line(tmp_path)
    (key,) = tmp_path.iterdir()
    assert f"[signed-by={key}]" in line
    assert key.read_text().splitlines()[:3] == ["-----BEGIN PGP PUBLIC KEY BLOCK-----", "", "mDMEAAAA"]


def test_this_machine_has_sources_of_its_own_release() -> None:
    suites = {source.suite for source in sources.distribution()}
    assert sources.codename() in suites


@pytest.mark.parametrize(
    ("name", "value"),
    [("LAB_NAME", "Upper"), ("LAB_NAME", "much-too-long"), ("LAB_SUBNET", "10.77"), ("LAB_SUBNET", "10.77.300")],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match=name):
        config.from_environment()


def test_a_folder_that_overlays_cannot_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROVER_VAR", "/tmp/with blank")
    with pytest.raises(LabError, match="with blank"):
        config.from_environment()


def test_hosts_keep_their_identity_between_labs() -> None:
    one = config.Lab("a", "10.1.2", Path("/x"), Path("/y"))
    other = config.Lab("b", "10.1.2", Path("/x"), Path("/y"))
    assert one.machine_id(one.host("vmhost1")) == one.machine_id(one.host("vmhost1"))
    assert len({lab.machine_id(host) for lab in (one, other) for host in lab.hosts}) == 2 * len(config.HOSTS)


def test_what_is_installed_is_not_missing() -> None:
    assert packages.missing(["dpkg", "no-such-package-anywhere"]) == ["no-such-package-anywhere"]


def test_every_group_of_packages_has_some() -> None:
    assert all(packages.wanted([group]) for group in ("base", "full", "debian"))
