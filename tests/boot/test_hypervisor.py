"""How this machine's libvirtd is run where there is no systemd to do it."""

import socket
from pathlib import Path

import pytest

from scripts import hypervisor


def test_the_group_decides_and_all_else_stays(tmp_path: Path) -> None:
    original = tmp_path / "libvirtd.conf"
    original.write_text(
        '# auth_unix_rw = "polkit"\nauth_unix_rw = "polkit"\nlog_level = 3\n  unix_sock_rw_perms="0777"\n'
    )
    hypervisor.write_config(tmp_path / "ours.conf", original)
    lines = (tmp_path / "ours.conf").read_text().splitlines()
    assert lines[:3] == ['unix_sock_group = "libvirt"', 'unix_sock_rw_perms = "0770"', 'auth_unix_rw = "none"']
    assert lines[3:] == ['# auth_unix_rw = "polkit"', "log_level = 3"]


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    hypervisor.write_config(tmp_path / "ours.conf", tmp_path / "none")
    assert len((tmp_path / "ours.conf").read_text().splitlines()) == 3


def test_nothing_is_started_where_one_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "libvirt-sock"
    monkeypatch.setattr(hypervisor, "SOCKETS", (str(path),))
    assert not hypervisor.answers()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert hypervisor.daemons(tmp_path) == {}
