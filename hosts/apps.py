from importlib import import_module

from django.apps import AppConfig


class HostsConfig(AppConfig):
    name = "hosts"

    def ready(self) -> None:
        import_module("hosts.operations")  # registers them with jobs
        import_module("jobs.discretion").register(import_module("hosts.names").all_of_them)
