"""The queue of uploads, as the storage tests have it."""

from tests.storage.conftest import queue

__all__ = ["queue"]
