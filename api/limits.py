"""How often the API may be called: each person, with all their tokens together; and each address that nobody is behind.

Counted in Redis by the minute. Without Redis nobody is held back.
"""

import logging
from functools import lru_cache
from time import monotonic, time

import redis
from django.conf import settings
from django.http import HttpRequest
from ninja.throttling import BaseThrottle

from access.addresses import client_address

log = logging.getLogger(__name__)
WINDOW_S = 60
AWAY_S = 10.0  # Redis is not asked for so long after it did not answer
_away_until = 0.0


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_connect_timeout=0.5, socket_timeout=0.5)


def is_over(kind: str, who: str, most: int) -> bool:
    """Count a call. Whether there were more than `most` of them in this minute; 0 is no limit."""
    global _away_until
    if most <= 0 or monotonic() < _away_until:
        return False
    key = f"drover:calls:{kind}:{who}:{int(time()) // WINDOW_S}"
    try:
        pipe = _client(settings.REDIS_URL).pipeline(transaction=False)
        pipe.incr(key)
        pipe.expire(key, 2 * WINDOW_S)
        return int(pipe.execute()[0]) > most
    except redis.RedisError as error:
        _away_until = monotonic() + AWAY_S
        log.warning("calls are not counted, Redis does not answer: %s", error)
        return False


def wait_s() -> int:
    """Until the next minute begins."""
    return WINDOW_S - int(time()) % WINDOW_S


class PerPerson(BaseThrottle):
    """Who calls is known by then. What does not fit is told with the time after which to call again."""

    def allow_request(self, request: HttpRequest) -> bool:
        return not is_over("person", str(request.user.pk), settings.API_CALLS_PER_MINUTE)

    def wait(self) -> float:
        return wait_s()


def is_stranger_over(request: HttpRequest) -> bool:
    """A call without a valid token or session. Those with one are let in from the same address all the same."""
    return is_over("address", client_address(request) or "", settings.API_STRANGERS_PER_MINUTE)
