"""Commands on this machine itself, for which no shell of an SSH server speaks."""

import pytest

from hosts.models import Host
from virt import ssh


def here() -> Host:
    return Host(name="here", transport="local")


def test_it_works() -> None:
    assert ssh.run(here().target, ["printf", "%s", "a b"]) == "a b"


def test_a_program_that_is_not_there_is_told_as_a_shell_would() -> None:
    with pytest.raises(ssh.CommandFailed) as failed:
        ssh.run(here().target, ["no-such-program-here", "x"])
    assert failed.value.code == 127
    assert ssh.run(here().target, ["no-such-program-here"], check=False) == ""
