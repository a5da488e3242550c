"""Addresses of pages: the same all the time a process runs, and a list needs hundreds of them."""

from functools import lru_cache

from django.urls import reverse


@lru_cache(maxsize=20_000)
def address(name: str, *args: int | str) -> str:
    """As `reverse`, without working it out again each time."""
    return reverse(name, args=args)
