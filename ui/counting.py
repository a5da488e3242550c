"""How often somebody does something in a minute, counted in Redis. Without Redis nobody is held back."""

import logging
from functools import lru_cache
from time import monotonic, time

import redis
from django.conf import settings

log = logging.getLogger(__name__)
WINDOW_S = 60
AWAY_S = 10.0  # Redis is not asked for so long after it did not answer
_away_until = 0.0


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_connect_timeout=0.5, socket_timeout=0.5)


def is_over(kind: str, who: str, most: int) -> bool:
    """Count once more. Whether it was more than `most` times in this minute; 0 is no limit."""
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
        log.warning("nothing is counted, Redis does not answer: %s", error)
        return False


def wait_s() -> int:
    """Until the next minute begins."""
    return WINDOW_S - int(time()) % WINDOW_S
