"""`manage.py setup`: the database, the first administrator and this machine as a host. Safe to run again."""

import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from access.models import Role, User
from audit.origin import of_command
from hosts.models import Host
from hosts.states import Transport

ADMIN = "admin"
MARKER = "local_host_adopted"
LOCK = 0x64726F7570  # of this command, among PostgreSQL's advisory locks


class Command(BaseCommand):
    help = "Prepares the database, the first administrator and this machine as a host. Safe to run again."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="say what was made as one line of JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with only_one(), of_command():
            call_command("migrate", interactive=False, verbosity=0 if options["json"] else 1)
            made = first_administrator()
            adopt_local_host()
        if options["json"]:
            self.stdout.write(json.dumps(made))
        elif "password" in made:
            self.stdout.write(f"Made the administrator {made['admin']} with the password {made['password']}")


@contextmanager
def only_one() -> Iterator[None]:
    """On PostgreSQL several machines may start at the same moment: one of them prepares the database."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def first_administrator() -> dict[str, str]:
    """Make the administrator if there is none. Returns the name, and the password if it was made here and now."""
    known = User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).order_by("pk").first()
    if known is not None:
        return {"admin": known.username}
    password = os.environ.get("DROVER_ADMIN_PASSWORD", "")
    given = bool(password)
    user = User(username=ADMIN, role=Role.ADMINISTRATOR)
    if given:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError("DROVER_ADMIN_PASSWORD: " + " ".join(error.messages)) from error
    else:
        password = "-".join(secrets.token_hex(2) for _ in range(4))
    user.set_password(password)
    user.save()
    return {"admin": ADMIN} if given else {"admin": ADMIN, "password": password}


def adopt_local_host() -> None:
    """Make this machine's libvirt the first host, once: a person who removes it does not get it back."""
    marker = settings.VAR / MARKER
    if not settings.LOCAL_HOST or marker.exists() or Host.objects.filter(transport=Transport.LOCAL).exists():
        return
    name = socket.gethostname().partition(".")[0] or "local"
    if Host.objects.filter(name=name).exists():
        name = f"{name}-local"
    Host.objects.create(name=name, transport=Transport.LOCAL)
    marker.touch()
