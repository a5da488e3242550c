"""Figures and times as people read them: GiB, "14 s ago", and a dash for what nobody has observed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _


class Words:
    """A sentence that is put together in the language of whoever reads it: `Words("%(n)s files") % {"n": 3}`.

    Of hundreds that are found, only the few that are shown are translated.
    """

    __slots__ = ("template", "values")

    def __init__(self, template: str, values: Mapping[str, Any] | None = None) -> None:
        self.template, self.values = template, values or {}

    def __mod__(self, values: Mapping[str, Any]) -> "Words":
        return Words(self.template, values)

    def __str__(self) -> str:
        words = _(self.template)
        return words % self.values if self.values else words

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Words) and (self.template, self.values) == (other.template, other.values)

    def __hash__(self) -> int:
        return hash((self.template, tuple(self.values.items())))


Text = str | Promise
Sentence = Text | Words
DASH = "–"
NBSP = "\N{NO-BREAK SPACE}"
UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]


def one_line(words: Text) -> str:
    """Without line breaks and other control characters: safe as a subject of a mail or an address's name."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(words)).split())


def number(value: float) -> str:
    """Three significant figures at most, no zeros at the end: 4, 1.2, 11.8, 318."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def size(value: float | None) -> str:
    """Bytes in the largest unit that keeps the figure above one: "4 GiB"."""
    if value is None:
        return DASH
    amount, unit = float(value), 0
    while abs(amount) >= 1023.95 and unit < len(UNITS) - 1:
        amount /= 1024
        unit += 1
    return f"{number(amount)}{NBSP}{UNITS[unit]}"


def rate(value: float | None) -> str:
    return DASH if value is None else f"{size(value)}/s"


def percent(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f}{NBSP}%"


def duration(seconds: float | None) -> str:
    """A length of time with its two largest units: "12 days 4 h", "38 s", "40 ms"."""
    if seconds is None:
        return DASH
    if 0 < seconds < 1:
        return f"{max(1, round(seconds * 1000))}{NBSP}ms"
    left = int(seconds)
    days, left = divmod(left, 86400)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    day_word = _("day") if days == 1 else _("days")
    parts = [(days, day_word), (hours, "h"), (minutes, "min"), (left, "s")]
    while parts and parts[0][0] == 0 and len(parts) > 1:
        parts.pop(0)
    shown = [part for part in parts[:2] if part[0]] or parts[:1]
    return " ".join(f"{count}{NBSP}{unit}" for count, unit in shown)


def short_duration(seconds: float) -> str:
    """A length of time with its largest unit only: "14 s", "3 min", "12 days"."""
    left = max(0, int(seconds))
    if left < 60:
        return f"{left}{NBSP}s"
    if left < 3600:
        return f"{left // 60}{NBSP}min"
    if left < 86400:
        return f"{left // 3600}{NBSP}h"
    days = left // 86400
    return f"{days}{NBSP}{_('day') if days == 1 else _('days')}"


def ago(when: datetime | None, now: datetime | None = None) -> str:
    """ "14 s ago"; a dash for never."""
    if when is None:
        return DASH
    passed = (now or timezone.now()) - when
    if passed < timedelta(seconds=1):
        return _("now")
    return _("%(time)s ago") % {"time": short_duration(passed.total_seconds())}
