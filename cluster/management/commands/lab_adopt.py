"""`manage.py lab_adopt`: what `make lab` and `make lab-down` ask of a running Drover."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.models import Role, User
from cluster.lab_cluster import LabCluster, LabProblem
from jobs.errors import Refused


class Command(BaseCommand):
    help = "Adds the lab's hosts, shared pool and images to the running Drover, or forgets them."

    def add_arguments(self, parser: CommandParser) -> None:
        default = settings.VAR / "lab" / "lab.json"
        parser.add_argument("file", nargs="?", type=Path, default=default, help="the lab's lab.json")
        parser.add_argument("--forget", action="store_true", help="remove Drover's records of the lab instead")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).order_by("pk").first()
        if user is None:
            raise CommandError("There is no administrator yet: start Drover first (make up).")
        try:
            lab = LabCluster(options["file"], user, self.stdout.write)
            if options["forget"]:
                lab.forget()
            else:
                lab.adopt()
        except LabProblem as problem:
            raise CommandError(str(problem)) from problem
        except Refused as refused:
            raise CommandError(str(refused.message)) from refused
