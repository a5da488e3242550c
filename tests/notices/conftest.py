"""A mail server, and Drover set up for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from access.models import User
from tests import mailkit
from tests.mailkit import Mailbox


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mailkit.make_certificate(tmp_path_factory.mktemp("mail") / "mail.pem")


@pytest.fixture
def configured(settings: Any) -> Any:
    """For a server that is not there yet."""
    settings.EMAIL_BACKEND = "notices.smtp.Server"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailkit.free_port()
    settings.PUBLIC_URL = "https://drover.example"
    settings.DEFAULT_FROM_EMAIL = "Drover <drover@example.org>"
    return settings


@pytest.fixture
def mailbox(configured: Any) -> Iterator[Mailbox]:
    """A server that takes mails from everybody."""
    box = Mailbox(configured.EMAIL_PORT)
    server = mailkit.controller(box)
    server.start()
    yield box
    server.stop()


@pytest.fixture
def lena(lab_user: User) -> User:
    lab_user.email, lab_user.first_name, lab_user.last_name = "lena@example.org", "Léna", "Brücke"
    lab_user.save()
    return lab_user
