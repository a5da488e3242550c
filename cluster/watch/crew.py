"""Threads for what may hang: each call gets one, and whoever asked waits only so long."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
MOST = 512  # started only as they are needed


class Late(Exception):
    """The call did not come back in time. `future` is it: it may still end one day."""

    def __init__(self, future: "Future[Any]") -> None:
        super().__init__("no answer in time")
        self.future = future


class Crew:
    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MOST, "crew")

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        return self._pool.submit(function, *args, **kwargs)

    def within(self, seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call and wait. Raises Late, or what the function raises."""
        future = self._pool.submit(function, *args, **kwargs)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                raise  # its own
            raise Late(future) from None
