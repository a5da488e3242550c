"""The one door of `watch` to the database: a few threads write for all hosts.

So the number of database connections does not grow with the hosts, and SQLite's only writer is not fought over. What
an event changed goes past what the regular sweeps have to write.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, connection

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """`run` and `soon` call a function in a thread that has a database connection."""

    def __init__(self) -> None:
        threads = 1 if connection.vendor == "sqlite" else 4
        self._urgent = ThreadPoolExecutor(1, "store-urgent")
        self._routine = ThreadPoolExecutor(threads, "store")

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call and wait. Raises what the function raises, DatabaseError if the database is away."""
        return self._routine.submit(_guarded(function), *args, **kwargs).result()

    def run_now(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, ahead of regular work."""
        return self._urgent.submit(_guarded(function), *args, **kwargs).result()

    def soon(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call without waiting, ahead of regular work."""
        return self._urgent.submit(_guarded(function), *args, **kwargs)

    def close(self) -> None:
        self._urgent.shutdown(wait=False, cancel_futures=True)
        self._routine.shutdown(wait=False, cancel_futures=True)


def _guarded(function: Callable[P, T]) -> Callable[P, T]:
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (DatabaseError, InterfaceError):
            connection.close()  # the next one begins with a fresh connection
            raise

    return call
