from importlib import import_module

from django.apps import AppConfig


class VmsConfig(AppConfig):
    name = "vms"

    def ready(self) -> None:
        import_module("vms.operations")  # registers them with jobs
        usage = import_module("storage.usage")
        usage.register(import_module("vms.disk_users").names_by_path)  # storage asks who uses a file
