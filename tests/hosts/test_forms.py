"""What a person may type for a host."""

from typing import Any

import pytest

from hosts.forms import HostForm, NameForm, PasswordForm
from hosts.models import Host
from tests.factories import make_host

HOSTILE = [
    "a b",
    "x;reboot",
    "$(id)",
    "../etc",
    "<b>x</b>",
    "“quoted”",
    "web'07",
    'a"b',
    "né",
    "🐎",
    "-x",
    "a" * 300,
    "a\nb",
]


def form(**data: Any) -> HostForm:
    return HostForm({"address": "10.47.100.3", **data})


def test_it_works(db: None) -> None:
    good = form(name="vmhost1")
    assert good.is_valid(), good.errors
    assert good.cleaned_data["port"] == 22
    assert good.cleaned_data["username"] == "root"
    assert good.cleaned_data["transport"] == "ssh"


@pytest.mark.parametrize(
    ("address", "name"),
    [("vmhost2.lab.example.org", "vmhost2"), ("10.47.100.4", "10.47.100.4"), ("fd00::4", "fd00--4")],
)
def test_without_a_name_it_is_called_by_its_address(db: None, address: str, name: str) -> None:
    made = HostForm({"address": address})
    assert made.is_valid(), made.errors
    assert made.cleaned_data["name"] == name


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused_at_the_field(db: None, name: str) -> None:
    bad = form(name=name)
    assert not bad.is_valid()
    assert list(bad.errors) == ["name"]


@pytest.mark.parametrize(
    "address", [*HOSTILE, "10.0.0.300", "10.0.0", "root@10.0.0.1", "10.0.0.1:22", "-oProxyCommand=id"]
)
def test_hostile_addresses_are_refused_at_the_field(db: None, address: str) -> None:
    bad = form(name="vmhost1", address=address)
    assert not bad.is_valid()
    assert list(bad.errors) == ["address"]


@pytest.mark.parametrize("username", ["root;id", "-oX", "Root", "a" * 40, "ro ot", "🐎"])
def test_hostile_accounts_are_refused(db: None, username: str) -> None:
    assert "username" in form(name="x", username=username).errors


@pytest.mark.parametrize("port", ["0", "-1", "65536", "1e9", "22; id"])
def test_ports_that_are_none(db: None, port: str) -> None:
    assert "port" in form(name="x", port=port).errors


def test_a_name_is_used_once_whatever_its_case(db: None) -> None:
    make_host("vmhost1")
    assert "name" in form(name="VMhost1").errors


def test_an_address_is_used_once(db: None) -> None:
    make_host("vmhost1", transport="ssh", address="10.47.100.3", port=22)
    assert "vmhost1" in form(name="other").errors["address"][0]
    assert form(name="other", port=2222).is_valid()


def test_changing_a_host_does_not_collide_with_itself(db: None) -> None:
    host = make_host("vmhost1", transport="ssh", address="10.47.100.3", port=22)
    assert HostForm({"address": "10.47.100.3", "name": "vmhost1"}, host=host).is_valid()


def test_this_machine_has_no_connection_to_choose(db: None) -> None:
    host = make_host("here", transport="local", address="")
    local = HostForm({"name": "here"}, host=host)
    assert local.is_valid(), local.errors
    assert "transport" not in local.fields


def test_passwords_are_taken_as_they_are_and_never_shown_again() -> None:
    given = PasswordForm({"password": "  sp aces & <tags> "})
    assert given.is_valid()
    assert given.cleaned_data["password"] == "  sp aces & <tags> "
    assert "sp aces" not in str(given["password"])
    assert not PasswordForm({"password": "two\nlines"}).is_valid()


def test_the_name_must_be_typed_for_a_host_of_the_cluster(db: None) -> None:
    host = make_host("vmhost1")
    assert NameForm({"name": "vmhost2"}, host=host).errors
    assert NameForm({"name": "vmhost1"}, host=host).is_valid()
    assert NameForm({}, host=Host(name="new", is_managed=False)).is_valid()
