"""manage.py watch: keeps the database true to the hosts."""

import logging
import os
import signal
from typing import Any

from django.core.management.base import BaseCommand

from cluster.watch.supervisor import Supervisor


class Command(BaseCommand):
    help = "Watch the hosts: events and statistics of libvirt go to the database and to open pages."
    requires_system_checks = []  # they would load every page into a process that has none

    def handle(self, *args: Any, **options: Any) -> None:
        supervisor = Supervisor()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: supervisor.stop())
        supervisor.run()
        logging.shutdown()
        os._exit(0)  # a thread in a call that hangs must not keep the process
