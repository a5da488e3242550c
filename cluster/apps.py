from importlib import import_module

from django.apps import AppConfig


class ClusterConfig(AppConfig):
    name = "cluster"

    def ready(self) -> None:
        import_module("cluster.operations")  # registers them with jobs
