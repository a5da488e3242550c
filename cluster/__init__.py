"""The front door: settings, urls, sockets, the overview and whole-cluster actions. Sees every room."""

from cluster.celery import app as celery_app

__all__ = ["celery_app"]
