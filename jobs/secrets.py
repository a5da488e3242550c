"""Secrets on their way from a form to a worker: in Redis for some minutes, never in a job's row."""

import secrets

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from jobs.errors import Failed

KEEP_S = 600


def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)


def put(value: str) -> str:
    """Keep a secret for ten minutes; returns the reference to put into a job's params."""
    reference = secrets.token_urlsafe(24)
    _client().set(f"drover:secret:{reference}", value, ex=KEEP_S)
    return reference


def take(reference: str) -> str:
    """The secret, removed by reading it. Raises Failed if it is gone."""
    value = _client().getdel(f"drover:secret:{reference}")
    if value is None:
        raise Failed(_("The password for this job is no longer kept. Please enter it again."))
    return str(value)
