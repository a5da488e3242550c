"""The mail server's settings: what is wrong stops the start, and says what without the password."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from cluster.env import env_sender, env_smtp, env_url


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    monkeypatch.setenv("DROVER_X", request.param)
    return str(request.param)


@pytest.mark.parametrize(
    "given",
    ["smtp://mail.example", "smtps://u:p%40ss@mail.example:465/", "smtp://u:p@mail.example:587?starttls", ""],
    indirect=True,
)
def test_servers(given: str) -> None:
    assert (env_smtp("DROVER_X").hostname or "") == ("mail.example" if given else "")


@pytest.mark.parametrize(
    "given",
    [
        "mail.example",
        "http://u:hidden@mail.example",
        "smtp://u:hidden@",
        "smtp://u:hidden@mail.example:x",
        "smtp://u:hidden@mail.example:587?tls",
        "smtps://u:hidden@mail.example?starttls",
        "smtp://u:hidden#1@mail.example",
    ],
    indirect=True,
)
def test_wrong_servers(given: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        env_smtp("DROVER_X")
    assert "DROVER_X: write smtp://" in str(error.value)
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("given", ["https://drover.example/", "http://127.0.0.1:8000"], indirect=True)
def test_addresses(given: str) -> None:
    assert env_url("DROVER_X") == given.rstrip("/")


@pytest.mark.parametrize("given", ["drover.example", "https://drover.example/below", "ftp://x"], indirect=True)
def test_wrong_addresses(given: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        env_url("DROVER_X")


@pytest.mark.parametrize("given", ["drover@example.org", "Drover <drover@example.org>"], indirect=True)
def test_senders(given: str) -> None:
    assert env_sender("DROVER_X") == given


@pytest.mark.parametrize("given", ["Drover", "a@b@c", "Drover <>", "Drover\r\nBcc: <all@example.org>"], indirect=True)
def test_wrong_senders(given: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        env_sender("DROVER_X")
