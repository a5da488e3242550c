from importlib import import_module

from django.apps import AppConfig


class VmsConfig(AppConfig):
    name = "vms"

    def ready(self) -> None:
        import_module("vms.operations")  # registers them with jobs
