"""What another side says of somebody: settings that are read, names that are compared."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from access import outside
from access.models import Role, User
from access.names import free_name
from access.outside import Mapping
from cluster.env import env_pairs
from tests.factories import make_group, make_user

DN = "cn=admins,ou=groups,dc=uni,dc=example"


def test_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", f"administrator={DN}; operator=staff;")
    assert env_pairs("X") == [("administrator", DN), ("operator", "staff")]


@pytest.mark.parametrize("text", ["administrator", "=x", "operator=", "a=b;c"])
def test_a_bad_pair_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("X", text)
    with pytest.raises(ImproperlyConfigured, match="write ours=theirs"):
        env_pairs("X")


def test_a_role_that_is_none_stops_the_start(settings: Any) -> None:
    settings.OIDC_ROLES = [("king", "kings")]
    with pytest.raises(ImproperlyConfigured, match="'king' is no role"):
        outside.check_settings()


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        ({"groups": ["a", "b", 3]}, "groups", ["a", "b"]),
        ({"groups": "a b"}, "groups", ["a", "b"]),
        ({"realm_access": {"roles": ["x"]}}, "realm_access.roles", ["x"]),
        ({"groups": {"a": 1}}, "groups", []),
        ({}, "groups.deep", []),
        (None, "groups", []),
    ],
)
def test_claims(claims: Any, path: str, found: list[str]) -> None:
    assert outside.names_in(claims, path) == found


def test_the_highest_role_counts(db: None) -> None:
    anna = make_user("anna")
    mapping = Mapping([("user", "all"), ("operator", "staff"), ("administrator", DN)], [])
    outside.apply(anna, ["all", "STAFF"], mapping)
    assert anna.role == Role.OPERATOR
    outside.apply(anna, ["all", "CN=admins, OU=groups, DC=uni, DC=example"], mapping)
    assert anna.role == Role.ADMINISTRATOR


def test_the_last_administrator_stays(admin: User) -> None:
    outside.apply(admin, [], Mapping([("administrator", "x")], []))
    admin.refresh_from_db()
    assert admin.role == Role.ADMINISTRATOR


def test_a_manager_stays_one_and_other_groups_are_left_alone(db: None) -> None:
    anna = make_user("anna")
    group, _other = make_group("Networks", manager=anna), make_group("Mine", anna)
    mapping = Mapping([], [("Networks", "n1"), ("Networks", "n2")])
    outside.apply(anna, ["n2"], mapping)
    assert group.memberships.get().is_manager
    outside.apply(anna, [], mapping)
    assert [one.name for one in anna.member_of.all()] == ["Mine"]


def test_free_names(db: None) -> None:
    make_user("anna")
    make_user("Anna2")
    assert free_name("ANNA") == "ANNA3"
    assert free_name("a b/ü") == "abü"
    assert free_name("") == "person"
    assert len(free_name("x" * 500)) == 140
