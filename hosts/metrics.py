"""The history of figures: one round-robin file for each host and VM, of constant size (RRDtool).

Kept: an hour at 10 s, a day at 1 min, 31 days at 30 min. The files lie in METRICS_DIR of the machine that runs `watch`;
with several machines, RRDCACHED_ADDRESS names an rrdcached that all of them use (its address as rrdtool takes it).
"""

import logging
import math
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import rrdtool
from django.conf import settings

log = logging.getLogger(__name__)
STEP_S = 10
FIELDS = {
    "vm": ("cpu", "memory", "disk_read", "disk_write", "net_rx", "net_tx"),
    "host": ("cpu", "memory", "load"),
}
ARCHIVES = ("RRA:AVERAGE:0.5:1:360", "RRA:AVERAGE:0.5:6:1440", "RRA:AVERAGE:0.5:180:1488")
_lock = threading.Lock()  # rrdtool keeps its last error in one place

Samples = Mapping[int, Mapping[str, float | None]]


def _path(kind: str, key: str) -> Path:
    folder = settings.METRICS_DIR / kind
    return folder / key[:2] / f"{key}.rrd" if kind == "vm" else folder / f"{key}.rrd"


def _daemon() -> list[str]:
    return ["--daemon", settings.RRDCACHED_ADDRESS] if settings.RRDCACHED_ADDRESS else []


def record(kind: str, key: str, samples: Samples) -> None:
    """Add samples: unix time -> field -> value; a field that is None or left out is unknown at that time."""
    fields = FIELDS[kind]
    path = _path(kind, key)
    lines = []
    for at, values in sorted(samples.items()):
        texts = ["U" if values.get(name) is None else f"{values[name]:.6g}" for name in fields]
        lines.append(":".join([str(at), *texts]))
    if not lines:
        return
    with _lock:
        try:
            if not path.exists():
                _create(path, fields, min(samples))
            rrdtool.update(str(path), *_daemon(), *lines)
        except rrdtool.OperationalError as error:
            log.warning("figures of %s %s not kept: %s", kind, key, error)


def _create(path: Path, fields: tuple[str, ...], first: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = [f"DS:{name}:GAUGE:{STEP_S * 3}:U:U" for name in fields]
    rrdtool.create(str(path), "--step", str(STEP_S), "--start", str(first - STEP_S), *sources, *ARCHIVES)


def history(kind: str, key: str, seconds: int = 3600) -> dict[str, list[float | None]]:
    """The last `seconds` of figures as {"t": unix times, field: values}; all empty if nothing is known of the key.

    A local file is read: may be called inside a request.
    """
    fields = FIELDS[kind]
    path = _path(kind, str(key))
    empty: dict[str, list[float | None]] = {"t": [], **{name: [] for name in fields}}
    if not path.exists() and not settings.RRDCACHED_ADDRESS:
        return empty
    step = next(step for step, reach in ((10, 3600), (60, 86400), (1800, 10**9)) if seconds <= reach)
    end = int(time.time()) // step * step
    with _lock:
        try:
            (start, _end, width), names, rows = rrdtool.fetch(
                str(path), "AVERAGE", "-r", str(step), "-s", str(end - seconds), "-e", str(end), *_daemon()
            )
        except rrdtool.OperationalError as error:
            log.info("no figures of %s %s: %s", kind, key, error)
            return empty
    columns: dict[str, list[float | None]] = {"t": [start + width * (number + 1) for number in range(len(rows))]}
    for place, name in enumerate(names):
        columns[name] = [_known(row[place]) for row in rows]
    return columns


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 2)


def forget(kind: str, key: str) -> None:
    """Delete the history of something that is no longer there."""
    with suppress(FileNotFoundError):
        _path(kind, str(key)).unlink()
