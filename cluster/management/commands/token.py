"""`manage.py token create|list|revoke`: API tokens."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from access.models import ApiToken, User
from access.scopes import AREAS, NAMES
from audit.origin import of_command


class Command(BaseCommand):
    help = "Makes, lists and revokes API tokens. The secret is shown once and kept nowhere."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a token and print its secret")
        create.add_argument("--user", required=True, help="whose rights it has")
        create.add_argument("--name", required=True, help="what it is for")
        create.add_argument("--days", type=int, help="how many days it is valid; for ever if not given")
        create.add_argument("--read-only", action="store_true", help="it changes nothing")
        create.add_argument(
            "--only", default="", help=f"areas, with commas: {', '.join(name for name, _words in AREAS)}"
        )
        actions.add_parser("list", help="list all tokens")
        revoke = actions.add_parser("revoke", help="make a token invalid now")
        revoke.add_argument("number", type=int, help="its number in the list")

    def handle(self, *args: Any, **options: Any) -> None:
        with of_command():
            if options["action"] == "create":
                areas = [name for name in options["only"].split(",") if name]
                self.create(options["user"], options["name"], options["days"], not options["read_only"], areas)
            elif options["action"] == "revoke":
                self.revoke(options["number"])
            else:
                self.list()

    def create(self, username: str, name: str, days: int | None, may_change: bool, areas: list[str]) -> None:
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {username!r}.")
        if not name.strip() or len(name) > 100:
            raise CommandError("--name: write what the token is for, in at most 100 characters.")
        if days is not None and not 0 < days <= 3650:
            raise CommandError("--days: write a number from 1 to 3650.")
        if unknown := sorted(set(areas) - NAMES):
            raise CommandError(f"--only: there is no {', '.join(unknown)}.")
        expires_at = timezone.now() + timedelta(days=days) if days else None
        _token, secret = ApiToken.make(user, name.strip(), expires_at, may_change=may_change, areas=areas)
        self.stdout.write(secret)

    def list(self) -> None:
        for token in ApiToken.objects.select_related("user").order_by("pk"):
            until = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "for ever"
            used = f"last used {token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never used"
            self.stdout.write(f"{token.pk}\t{token.user.username}\t{token.name}\t{token.scope}\t{until}\t{used}")

    def revoke(self, number: int) -> None:
        deleted, _each = ApiToken.objects.filter(pk=number).delete()
        if not deleted:
            raise CommandError(f"There is no token {number}: see `token list`.")
        self.stdout.write(f"Token {number} is revoked.")
