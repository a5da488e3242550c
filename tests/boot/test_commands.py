"""manage.py setup and token; the .env file."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from access.models import ApiToken, Role, User
from cluster.env import load_env_file
from hosts.models import Host
from hosts.states import Transport


def said(*words: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.VAR = tmp_path
    settings.LOCAL_HOST = True


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_own_folder")]


def test_setup_makes_the_administrator_once() -> None:
    made = json.loads(said("setup", json=True))
    admin = User.objects.get()
    assert (made["admin"], admin.role) == ("admin", Role.ADMINISTRATOR)
    assert admin.check_password(made["password"])
    assert json.loads(said("setup", json=True)) == {"admin": "admin"}


def test_setup_takes_the_given_password_and_does_not_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROVER_ADMIN_PASSWORD", "correct horse 7")
    assert json.loads(said("setup", json=True)) == {"admin": "admin"}
    assert User.objects.get().check_password("correct horse 7")


def test_setup_refuses_a_weak_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROVER_ADMIN_PASSWORD", "short")
    with pytest.raises(CommandError, match="DROVER_ADMIN_PASSWORD"):
        said("setup")
    assert not User.objects.exists()


def test_setup_adopts_this_machine_once() -> None:
    said("setup")
    host = Host.objects.get()
    assert (host.transport, host.is_managed) == (Transport.LOCAL, True)
    host.delete()
    said("setup")
    assert not Host.objects.exists()


def test_setup_leaves_this_machine_alone_if_told_so(settings: Any) -> None:
    settings.LOCAL_HOST = False
    said("setup")
    assert not Host.objects.exists()


def test_token_create_list_revoke(admin: User) -> None:
    secret = said(
        "token", "create", "--user", "ada", "--name", "backup", "--days", "30", "--only", "vms", "--read-only"
    ).strip()
    token = ApiToken.objects.get()
    assert (ApiToken.of(secret), token.user) == (token, admin)
    assert secret not in (token.digest, token.name)
    listed = said("token", "list")
    assert "backup" in listed
    assert "reads only · VMs" in listed
    assert secret not in listed
    said("token", "revoke", str(token.pk))
    assert ApiToken.of(secret) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--user", "nobody", "--name", "x"), "no active user"),
        (("--user", "ada", "--name", " "), "--name"),
        (("--user", "ada", "--name", "x" * 101), "--name"),
        (("--user", "ada", "--name", "x", "--days", "0"), "--days"),
        (("--user", "ada", "--name", "x", "--only", "vms,moon"), "moon"),
    ],
)
def test_token_create_refuses(admin: User, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        said("token", "create", *words)
    assert not ApiToken.objects.exists()


def test_token_revoke_refuses_an_unknown_one() -> None:
    with pytest.raises(CommandError, match="no token 7"):
        said("token", "revoke", "7")


def test_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("# a comment\nDROVER_A=1\nDROVER_B = 'two words'\n\nnot a setting\nDROVER_C=from file\n")
    monkeypatch.setenv("DROVER_C", "from environment")
    for name in ("DROVER_A", "DROVER_B"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    load_env_file(file)
    assert [os.environ[name] for name in ("DROVER_A", "DROVER_B", "DROVER_C")] == ["1", "two words", "from environment"]
