"""`manage.py audit verify|export|accept`: the record of who did what."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import chain, export, verify
from audit.entries import record
from audit.filters import AuditFilter, all_of
from audit.models import Entry
from audit.origin import of_command

FILTERS = ("who", "action", "kind", "key", "result", "since", "until", "q")


class Command(BaseCommand):
    help = "Checks that the audit is as it was written, and exports it."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="do", required=True)
        actions.add_parser("verify", help="check the chain; ends with 1 and the first wrong entry if it is broken")
        accept = actions.add_parser("accept", help="take the entries as they are, after a backup was restored")
        accept.add_argument("--reason", required=True, help="why; it becomes an entry")
        exported = actions.add_parser("export", help="write entries, newest first, to the standard output")
        exported.add_argument("--format", choices=sorted(export.WRITERS), default="json", dest="form")
        for name in FILTERS:
            exported.add_argument(f"--{name}", default="", help=f"as the filter “{name}” of the page")

    def handle(self, *args: Any, **options: Any) -> None:
        with of_command():
            if options["do"] == "verify":
                self.verify()
            elif options["do"] == "accept":
                self.accept(options["reason"])
            else:
                self.export(options["form"], {name: options[name] for name in FILTERS})

    def verify(self) -> None:
        chain.seal()
        verdict = verify.verify(lambda checked: self.stderr.write(f"{checked} checked ..."))
        if verdict.wrong:
            self.stderr.write(verdict.wrong)
            sys.exit(1)
        if not verdict.last:
            self.stdout.write("There is no entry yet.")
            return
        span = f"from {verdict.first} to {verdict.last}" if verdict.checked else f"none after {verdict.last}"
        self.stdout.write(f"All is as it was written: {verdict.checked} entries, {span}.")

    def accept(self, reason: str) -> None:
        before = verify.verify()
        chain.accept()
        record("audit.restart", reason=reason, details={"before": before.wrong or "nothing was wrong"})
        self.stdout.write("Taken as it is. The entry that says so is the newest.")

    def export(self, form: str, wanted: dict[str, str]) -> None:
        filters = AuditFilter({name: value for name, value in wanted.items() if value})
        if not filters.is_valid():
            wrong = "; ".join(f"--{name}: {' '.join(map(str, errors))}" for name, errors in filters.errors.items())
            raise CommandError(wrong)
        for line in export.WRITERS[form](all_of(filters.apply(Entry.objects.all()))):
            self.stdout.write(line, ending="")
