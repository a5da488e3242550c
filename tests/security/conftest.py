"""Quiet logs: these tests provoke hundreds of refusals, and Django would write a traceback for each."""

import logging
from collections.abc import Iterator

import pytest

from tests.security.world import World, make_world


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    loggers = [
        logging.getLogger(name) for name in ("django.request", "django.security.csrf", "jobs.waiting", "ui.live")
    ]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    yield
    for one, level in zip(loggers, before, strict=True):
        one.setLevel(level)


@pytest.fixture
def world(db: None) -> World:
    return make_world()
