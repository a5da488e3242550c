"""`manage.py console`: the process behind /console-socket."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from vms.console_proxy import serve


class Command(BaseCommand):
    help = "Serve the consoles of VMs (websockify) on a unix socket behind nginx."
    requires_system_checks = []  # they would load every page into a process that has none

    def handle(self, *args: Any, **options: Any) -> None:
        serve(Path(settings.CONSOLE_SOCKET))
