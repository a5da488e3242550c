"""`manage.py mail_test <address>`: whether mails can be sent, and if not, why."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from notices import mail
from notices.delivery import Line, NoServer, NotSent, server


class Command(BaseCommand):
    help = "Sends one mail now, and says what the mail server said."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.EMAIL_HOST:
            raise CommandError("No mail server is set up: DROVER_SMTP_URL is empty (docs/notices.md).")
        try:
            with Line() as line:
                line.send(mail.of_test(options["address"]))
        except NotSent as error:
            raise CommandError(f"{server()} does not take it: {error}") from error
        except NoServer as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{server()} has taken a mail to {options['address']}.")
