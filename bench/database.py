"""A database of the bench's own, with the large cluster in it, opened as the running product opens its own."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.seed import Cluster


def set_up(folder: Path) -> None:
    """Give Django this folder for everything it writes. Before anything that needs settings is imported."""
    import django

    os.environ["DROVER_VAR"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "cluster.settings"
    # the browser's driver keeps a loop in this thread, in which nothing of Django's runs
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    for name in ("DATABASE_URL", "REDIS_URL", "DROVER_DEBUG"):
        os.environ.pop(name, None)
    folder.mkdir(parents=True, exist_ok=True)
    django.setup()
    logging.getLogger("ui.live").setLevel(logging.ERROR)  # there is no Redis, and nobody who listens


@cache
def empty() -> None:
    """Make the tables, once."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)


@cache
def large() -> "Cluster":
    """The large cluster, once for all rows that need it."""
    from bench.seed import Cluster, seed
    from hosts.models import Host

    empty()
    if Host.objects.exists():
        return Cluster.found()
    return seed()


@contextmanager
def watched() -> Iterator[None]:
    """Somebody else has the database open, as in the running product `watch` and the workers always have.

    Else each request's connection would be the last: SQLite then moves the log into the database when it is closed,
    and makes new files when it is opened (https://www.sqlite.org/wal.html#automatic_checkpoint).
    """
    from django.conf import settings

    from cluster.memory import settle

    with closing(sqlite3.connect(settings.DATABASES["default"]["NAME"])) as other:
        other.execute("SELECT count(*) FROM sqlite_master").fetchone()
        settle()
        yield
