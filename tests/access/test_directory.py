"""Signing in against a real OpenLDAP server, started here."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from access.models import DirectoryEntry, Group, Role, User
from audit.models import Entry
from tests.access import slapd
from tests.access.slapd import BASE, PASSWORD, Server

pytestmark = [pytest.mark.django_db, pytest.mark.processes]
LOCKED = "Too many failed attempts"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with slapd.running(tmp_path_factory.mktemp("slapd")) as one:
        one.person("anna", givenName="Anna", mail="anna@uni.example")
        one.person("ada", mail="ada@uni.example")
        one.person("bert")
        one.group("staff", "bert", groups=())
        one.group("all-staff", groups=("staff",))
        one.group("course-1", "anna", "bert")
        yield one


@pytest.fixture(autouse=True)
def _configured(settings: Any, server: Server) -> None:
    settings.LDAP = server.facts()
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "access.directory.Directory"]


def log_in(name: str, password: str = PASSWORD, **more: Any) -> tuple[Client, Any]:
    client = Client(**more)
    return client, client.post("/login", {"username": name, "password": password})


def test_it_works() -> None:
    client, answer = log_in("anna")
    assert answer.headers["Location"] == "/"
    anna = User.objects.get()
    assert (anna.username, anna.role, anna.email, anna.first_name) == ("anna", "user", "anna@uni.example", "Anna")
    assert not anna.has_usable_password()
    assert client.get("/profile").status_code == 200
    entry = Entry.objects.get(action="access.login")
    assert (entry.who, entry.result, entry.details) == ("anna", "ok", {"way": "directory"})
    log_in("ANNA")
    assert User.objects.count() == 1


@pytest.mark.parametrize("password", ["wrong", "", " "])
def test_a_wrong_password(password: str) -> None:
    _client, answer = log_in("anna", password)
    assert answer.status_code == 200
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["nobody", "*", "a*", "anna)(uid=*", "anna\\", "\x00anna", "uid=anna"])
def test_names_are_names_and_no_filters(name: str) -> None:
    _client, answer = log_in(name)
    assert answer.status_code == 200
    assert not User.objects.exists()


def test_a_local_account_of_the_same_name_is_somebody_else(admin: User) -> None:
    User.objects.filter(pk=admin.pk).update(email="ada@uni.example")
    client, _answer = log_in("ada")
    other = DirectoryEntry.objects.get().user
    assert (other.username, other.role) == ("ada2", "user")
    assert client.get("/people/").status_code == 404
    assert log_in("ada", "correct horse 7")[0].get("/people/").status_code == 200
    log_in("ada")
    assert User.objects.count() == 2


def test_a_renamed_entry_stays_the_person_and_its_old_name_is_free(server: Server) -> None:
    server.person("carl")
    log_in("carl")
    carl = User.objects.get()
    server.rename("carl", "charles")
    assert log_in("charles")[1].status_code == 302
    assert User.objects.get() == carl
    server.person("carl")
    log_in("carl")
    assert sorted(User.objects.values_list("username", flat=True)) == ["carl", "carl2"]
    for name in ("carl", "charles"):
        server.remove(f"uid={name},ou=people,{BASE}")


def test_roles_and_groups_follow_at_each_login(settings: Any, server: Server) -> None:
    """Groups in groups count too."""
    settings.LDAP_ROLES = [("operator", f"CN=all-staff, ou=groups, {BASE}")]
    settings.LDAP_GROUPS = [("Networks", f"cn=course-1,ou=groups,{BASE}")]
    log_in("bert")
    bert = User.objects.get()
    assert bert.role == Role.OPERATOR
    assert [group.name for group in bert.member_of.all()] == ["Networks"]
    server.remove(f"cn=all-staff,ou=groups,{BASE}")
    log_in("bert")
    bert.refresh_from_db()
    assert bert.role == Role.USER
    assert Group.objects.get().memberships.count() == 1
    server.group("all-staff", groups=("staff",))


def test_posix_groups(settings: Any, server: Server) -> None:
    dn = f"cn=lab,ou=groups,{BASE}"
    server.change(f"dn: {dn}\nobjectClass: posixGroup\ncn: lab\ngidNumber: 500\nmemberUid: bert\n\n")
    settings.LDAP = server.facts(group_kind="posix")
    settings.LDAP_ROLES = [("auditor", dn)]
    log_in("bert")
    assert User.objects.get().role == Role.AUDITOR
    server.remove(dn)


def test_who_is_gone_there_or_deactivated_here_is_out(server: Server) -> None:
    server.person("dora")
    assert log_in("dora")[1].status_code == 302
    User.objects.update(is_active=False)
    assert log_in("dora")[1].status_code == 200
    User.objects.update(is_active=True)
    server.remove(f"uid=dora,ou=people,{BASE}")
    assert log_in("dora")[1].status_code == 200


def test_guessing_locks_out() -> None:
    for _turn in range(5):
        _client, answer = log_in("anna", "guess", REMOTE_ADDR="10.1.1.1")
    assert answer.status_code == 429
    assert LOCKED in log_in("anna", REMOTE_ADDR="10.1.1.1")[1].content.decode()
    assert log_in("anna", REMOTE_ADDR="10.2.2.2")[1].status_code == 302


@pytest.mark.parametrize(
    "more",
    [
        {"url": "ldap://localhost:9"},
        {"ca_file": "/etc/ssl/certs/ca-certificates.crt"},  # not who signed its certificate
        {"url": "ldaps://127.0.0.1:9", "start_tls": False},
    ],
)
def test_a_directory_that_is_away_or_another(settings: Any, server: Server, admin: User, more: dict[str, Any]) -> None:
    settings.LDAP = server.facts(**more)
    assert "The directory does not answer" in log_in("anna")[1].content.decode()
    assert log_in("ada", "correct horse 7")[1].status_code == 302


def test_tls_from_the_first_byte(settings: Any, server: Server) -> None:
    settings.LDAP = server.facts(url=server.tls_url, start_tls=False)
    assert log_in("anna")[1].status_code == 302


def test_only_some_of_them(settings: Any, server: Server) -> None:
    settings.LDAP = server.facts(filter="(mail=*)")
    assert log_in("bert")[1].status_code == 200
    assert log_in("anna")[1].status_code == 302


def test_an_entry_without_identity_is_nobody(settings: Any, server: Server) -> None:
    settings.LDAP = server.facts(id="objectGUID")
    assert log_in("anna")[1].status_code == 200
    assert not User.objects.exists()


def test_the_local_password_of_somebody_else_is_not_changed_with_it(admin_client: Client, admin: User) -> None:
    """ada of the directory is not ada of here, and her password opens nothing of hers."""
    words = {"old_password": PASSWORD, "new_password1": "chosen horse 8", "new_password2": "chosen horse 8"}
    assert admin_client.post("/profile/password", words).status_code == 200
    admin.refresh_from_db()
    assert admin.check_password("correct horse 7")


def test_nothing_configured_nothing_loaded(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [one for one in settings.AUTHENTICATION_BACKENDS if "directory" not in one]
    assert log_in("anna")[1].status_code == 200
    assert "directory" not in Client().get("/login").content.decode().lower()
