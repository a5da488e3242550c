"""Secrets on their way from a form to a worker: in Redis for some minutes, never in a job's row."""

import secrets

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from jobs.errors import Failed, Refused

KEEP_S = 600


def _client() -> "redis.Redis":
    # with time-outs: a Redis that hangs must not hold a page
    limits = {"socket_connect_timeout": 3, "socket_timeout": 5}
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, **limits)


def put(value: str) -> str:
    """Keep a secret for ten minutes; returns the reference to put into a job's params. Raises Refused without Redis."""
    reference = secrets.token_urlsafe(24)
    try:
        _client().set(f"drover:secret:{reference}", value, ex=KEEP_S)
    except redis.RedisError as error:
        raise Refused(_("Passwords can't be handed over now (Redis does not answer). Try again soon.")) from error
    return reference


def take(reference: str) -> str:
    """The secret, removed by reading it. Raises Failed if it is gone."""
    try:
        value = _client().getdel(f"drover:secret:{reference}")
    except redis.RedisError as error:
        raise Failed(
            _("The password could not be read (Redis does not answer). Try again soon."), str(error)
        ) from error
    if value is None:
        raise Failed(_("The password for this job is no longer kept. Please enter it again."))
    return str(value)
