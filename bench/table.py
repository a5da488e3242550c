"""Results of the bench and the table they are printed in."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One line of the table. notes are printed below it."""

    what: str
    target: str
    measured: str
    is_ok: bool
    notes: tuple[str, ...] = ()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0..1) of all values do not exceed."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


def p95(values: Sequence[float]) -> float:
    return percentile(values, 0.95)


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Median with the smallest and largest value."""
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f}, n={len(values)})"


def table(results: Iterable[Result]) -> str:
    """Markdown, readable as it is."""
    rows = [("what", "target", "measured", "")]
    rows += [(one.what, one.target, one.measured, "ok" if one.is_ok else "OVER") for one in results]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
