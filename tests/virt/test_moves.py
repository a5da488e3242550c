"""What the script of virt.moves says, read; and whether two hosts' certificates fit."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from tests.virt.test_authority import request
from virt.authority import Authority, valid_until
from virt.moves import Means, encryption, parse

NAMES = ["10.0.0.2", "vmhost2"]


def means(authority: Authority, folder: Path, *names: str) -> Means:
    certificate = authority.sign(request(folder), list(names))
    said = {name: base64.b64encode(text.encode()).decode() for name, text in [
        ("ca-cert", authority.certificate), ("server-cert", certificate), ("client-cert", certificate)]}  # fmt: skip
    lines = [f"{key}={value}" for key, value in said.items()]
    more = ["owner=libvirt-qemu:kvm", "directory=/etc/pki/qemu", "verify=", "server-key=1", "client-key=1"]
    return parse("\n".join([*lines, *more, "openssl=1", "userfaultfd=1", ""]))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Means, Means]:
    authority = Authority(tmp_path / "ca").ensure()
    return means(authority, tmp_path, "10.0.0.1", "vmhost1"), means(authority, tmp_path, "10.0.0.2", "vmhost2")


def why(pair: tuple[Means, Means], names: list[str] | None = None) -> str:
    return encryption(*pair, "vmhost1", "vmhost2", names or NAMES).why_not


def test_it_works(pair: tuple[Means, Means]) -> None:
    source, destination = pair
    assert destination.has_certificates
    assert (destination.owner, destination.directory) == ("libvirt-qemu:kvm", "/etc/pki/qemu")
    found = encryption(source, destination, "vmhost1", "vmhost2", NAMES)
    assert (found.why_not, found.name) == ("", "10.0.0.2")


def test_the_first_that_ends_is_the_end(pair: tuple[Means, Means]) -> None:
    means = pair[0]
    assert means.valid_until == valid_until(means.server)
    assert replace(means, client=means.ca).valid_until == means.valid_until
    assert replace(means, server=means.ca, client="").valid_until == valid_until(means.ca)
    assert replace(means, has_server_key=False).valid_until is None
    assert replace(means, client="nonsense").valid_until is None


def test_the_first_name_that_the_certificate_has(pair: tuple[Means, Means]) -> None:
    assert encryption(*pair, "vmhost1", "vmhost2", ["172.16.0.9", "vmhost2"]).name == "vmhost2"
    assert "mismatch" in why(pair, ["172.16.0.9"])


def test_nothing_there() -> None:
    bare = parse("owner=root:root\ndirectory=/etc/pki/qemu\n")
    assert not bare.has_certificates
    assert "vmhost1 has no certificates" in why((bare, bare))


def test_key_that_qemu_can_not_read(pair: tuple[Means, Means]) -> None:
    source, destination = pair
    assert "vmhost2 has no certificates" in why((source, replace(destination, has_server_key=False)))


def test_sender_without_a_certificate(pair: tuple[Means, Means]) -> None:
    source, destination = pair
    bare = replace(source, client="")
    assert "does not accept vmhost1 as a sender" in why((bare, destination))
    assert why((bare, replace(destination, verifies=False))) == ""


def test_hosts_of_two_authorities(pair: tuple[Means, Means], tmp_path: Path) -> None:
    stranger = means(Authority(tmp_path / "other").ensure(), tmp_path, *NAMES)
    assert "vmhost1 does not accept the certificate of vmhost2" in why((pair[0], stranger))


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("userfaultfd=1", ""),
        ("userfaultfd=0", "sysctl -w vm.unprivileged_userfaultfd=1"),
        ("userfaultfd=0\nuserfaultfd_device=1", ""),
        ("", "no userfaultfd"),
    ],
)
def test_post_copy(said: str, word: str) -> None:
    reason = parse(said).why_no_post_copy
    assert word in reason
    assert bool(reason) == bool(word)


def test_what_is_no_base64() -> None:
    assert parse("ca-cert=%%%\nserver-cert=/w==\n").ca == ""
