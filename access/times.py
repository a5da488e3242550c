"""Ends of what is given for a time."""

from datetime import date, datetime, time

from django.utils import timezone


def end_of(day: date) -> datetime:
    """The last second of a day, here."""
    return timezone.make_aware(datetime.combine(day, time.max.replace(microsecond=0)))
