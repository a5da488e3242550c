"""Fixtures for every test: people, libvirt's simulated hosts, a channel layer in memory."""

from typing import Any

import pytest
from django.test import Client

from access.models import Role, User


@pytest.fixture(autouse=True)
def _in_memory_layer(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_user("ada", password="correct horse 7", role=Role.ADMINISTRATOR)


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("oskar", password="correct horse 7", role=Role.OPERATOR)


@pytest.fixture
def lab_user(db: None) -> User:
    return User.objects.create_user("lena", password="correct horse 7", role=Role.USER)


@pytest.fixture
def admin_client(admin: User, client: Client) -> Client:
    client.force_login(admin)
    return client
