from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from ui import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1.18 * 2**30, "1.18 GiB"),
        (4 * 2**30, "4 GiB"),
        (1023.99 * 2**20, "1 GiB"),
        (318 * 2**20, "318 MiB"),
        (2**70, "1024 EiB"),
        (-(2**30), "-1 GiB"),
        (100 * 2**30, "100 GiB"),
    ],
)
def test_size(value: float | None, shown: str) -> None:
    assert text.size(value).replace(text.NBSP, " ") == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.038, "38 ms"),
        (38, "38 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (86400, "1 day"),
        (12 * 86400 + 4 * 3600 + 59, "12 days 4 h"),
        (86400 + 30, "1 day"),
    ],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds).replace(text.NBSP, " ") == shown


@pytest.mark.parametrize(
    ("passed", "shown"), [(0, "now"), (14, "14 s ago"), (3599, "59 min ago"), (7300, "2 h ago"), (86400, "1 day ago")]
)
def test_ago(passed: int, shown: str) -> None:
    now = timezone.now()
    assert text.ago(now - timedelta(seconds=passed), now).replace(text.NBSP, " ") == shown


def test_never_and_the_future() -> None:
    now: datetime = timezone.now()
    assert text.ago(None) == "–"
    assert text.ago(now + timedelta(seconds=5), now) == "now"
