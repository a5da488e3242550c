"""The history of figures: what was recorded is read back, at the width that was asked for."""

import time
from pathlib import Path
from typing import Any

import pytest

from hosts import metrics


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, settings: Any) -> None:
    settings.METRICS_DIR = tmp_path


def test_it_works() -> None:
    now = int(time.time()) // 10 * 10
    for at in range(now - 600, now, 10):
        metrics.record("vm", "abc", {at: {"cpu": 25.0, "memory": 1 << 30, "net_rx": 1000.0}})
    found = metrics.history("vm", "abc", 600)
    assert set(found) == {"t", "cpu", "memory", "disk_read", "disk_write", "net_rx", "net_tx"}
    assert len({len(column) for column in found.values()}) == 1
    cpu = [value for value in found["cpu"] if value is not None]
    assert len(cpu) >= 57
    assert set(cpu) == {25.0}
    assert set(found["disk_read"]) == {None}
    times = [at for at in found["t"] if at is not None]
    assert {after - before for before, after in zip(times, times[1:], strict=False)} == {10}


def test_a_day_is_a_figure_a_minute() -> None:
    now = int(time.time()) // 60 * 60
    metrics.record("host", "1", {at: {"cpu": 50.0} for at in range(now - 3600, now, 10)})
    found = metrics.history("host", "1", 86400)
    times = [at for at in found["t"] if at is not None]
    assert times[1] - times[0] == 60
    assert 50.0 in found["cpu"]


def test_nothing_is_known_of_a_stranger() -> None:
    assert metrics.history("vm", "nobody") == {
        "t": [],
        "cpu": [],
        "memory": [],
        "disk_read": [],
        "disk_write": [],
        "net_rx": [],
        "net_tx": [],
    }


def test_a_sample_from_the_past_is_left_out_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    now = int(time.time())
    metrics.record("host", "2", {now: {"cpu": 1.0}})
    metrics.record("host", "2", {now - 100: {"cpu": 2.0}})
    assert "not kept" in caplog.text


def test_forgotten_is_gone(tmp_path: Path) -> None:
    metrics.record("vm", "abc", {int(time.time()): {"cpu": 1.0}})
    assert list(tmp_path.rglob("*.rrd"))
    metrics.forget("vm", "abc")
    metrics.forget("vm", "abc")
    assert not list(tmp_path.rglob("*.rrd"))
