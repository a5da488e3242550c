from importlib import import_module

from django.apps import AppConfig


class SelfserviceConfig(AppConfig):
    name = "selfservice"

    def ready(self) -> None:
        import_module("selfservice.growing").guard()  # jobs ask it before a VM is started or grows
