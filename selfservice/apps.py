from importlib import import_module

from django.apps import AppConfig


class SelfserviceConfig(AppConfig):
    name = "selfservice"

    def ready(self) -> None:
        for name in ("operations", "lease_operations", "class_operations", "offers", "gone", "handed", "hearing"):
            import_module(f"selfservice.{name}")
        import_module("selfservice.growing").guard()  # jobs ask it before a VM is started or grows
        import_module("selfservice.ended").guard()
