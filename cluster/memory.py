"""The memory of a process that serves pages."""

import gc
from importlib import import_module


def settle() -> None:
    """Load what all requests need; Python's collector then leaves it alone: a look at all of it stops pages for 0.2 s.

    Source: docs.python.org/3/library/gc.html#gc.freeze
    """
    import_module("cluster.urls")
    gc.collect()
    gc.freeze()
