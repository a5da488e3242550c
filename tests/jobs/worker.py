"""A Celery application for tests: Drover's own, plus the operations of the tests (celery -A tests.jobs.worker)."""

import importlib

import django

from cluster.celery import app

django.setup()
importlib.import_module("tests.jobs.operations")
__all__ = ["app"]
