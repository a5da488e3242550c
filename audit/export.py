"""Entries as CSV and JSON, written in pieces while they are read."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

from audit.models import FACTS, Entry

COLUMNS = (*(name for name in FACTS if name != "person_key"), "previous", "digest")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def as_dict(entry: Entry) -> dict[str, Any]:
    values = {name: getattr(entry, name) for name in COLUMNS}
    return {**values, "at": entry.at.astimezone(UTC).isoformat()}


def harmless(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe before what could begin one."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def csv_lines(pieces: Iterable[list[Entry]]) -> Iterator[str]:
    yield _csv([COLUMNS])
    for piece in pieces:
        yield _csv([harmless(value) for value in as_dict(entry).values()] for entry in piece)


def _csv(rows: Iterable[Iterable[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def json_lines(pieces: Iterable[list[Entry]]) -> Iterator[str]:
    """One array, one entry a line."""
    before = "[\n"
    for piece in pieces:
        yield before + ",\n".join(json.dumps(as_dict(entry), ensure_ascii=False) for entry in piece)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


WRITERS = {"csv": csv_lines, "json": json_lines}
