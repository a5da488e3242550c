"""The filters of the audit, and its pages. Both live in the address, so that a view can be kept and sent.

No page counts all entries: one is found by where the one before it ended. What no index answers alone (a text, several
filters at once) is looked for among the next 100 000 entries; the page says so and offers to go on from there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import actions
from audit.models import Entry
from audit.states import Result
from audit.things import KINDS

PER_PAGE, SCAN, PIECE = 50, 100_000, 2000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ACTION = re.compile(r"[a-z_]+\.[a-z_]{1,50}")
PLACE = re.compile(r"([0-9]{1,17})\.([0-9]{1,18})")
EXACT = ("who", "action", "kind", "key", "result")
DROVER = "-"  # as a person: Drover itself, or nobody who is known


def _day(label: Any) -> forms.DateField:
    return forms.DateField(label=label, required=False, widget=forms.DateInput({"type": "date"}))


class AuditFilter(forms.Form):
    """What is wrong in an address is ignored: a list is shown, not an error."""

    q = forms.CharField(label=_("Text"), required=False, max_length=100)
    who = forms.CharField(
        label=_("Person"), required=False, max_length=150, widget=forms.TextInput({"placeholder": _("Person")})
    )
    action = forms.ChoiceField(label=_("Action"), required=False)
    kind = forms.ChoiceField(label=_("On"), required=False)
    key = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    result = forms.ChoiceField(label=_("Result"), required=False, choices=[("", _("any result")), *Result.choices])
    since = _day(_("From"))
    until = _day(_("To"))

    def __init__(self, *args: Any, own: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(name, kind.label) for name, kind in KINDS.items()]
        known = actions.choices()
        given = str(self.data.get("action", ""))
        if ACTION.fullmatch(given) and given not in actions.ACTIONS:  # of another version of Drover
            known.append((given, given))
        self.fields["action"].choices = [("", _("any action")), *known]  # type: ignore[attr-defined]
        self.fields["kind"].choices = [("", _("on anything")), *kinds]  # type: ignore[attr-defined]
        if own:
            del self.fields["who"]

    def clean_since(self) -> date | None:
        return _checked(self.cleaned_data["since"])

    def clean_until(self) -> date | None:
        return _checked(self.cleaned_data["until"])

    def values(self) -> dict[str, Any]:
        self.is_valid()
        return {name: value for name, value in getattr(self, "cleaned_data", {}).items() if value}

    def apply(self, rows: QuerySet[Entry]) -> QuerySet[Entry]:
        values = self.values()
        query = Q(**{name: values[name] for name in EXACT if name in values})
        if values.get("who") == DROVER:
            query = Q(who="", **{name: values[name] for name in EXACT[1:] if name in values})
        if "since" in values:
            query &= Q(at__gte=_midnight(values["since"]))
        if "until" in values:
            query &= Q(at__lt=_midnight(values["until"] + timedelta(days=1)))
        if text := values.get("q"):
            query &= Q(text__icontains=text) | Q(label__icontains=text) | Q(reason__icontains=text) | Q(address=text)
        return rows.filter(query)

    def is_narrowed(self) -> bool:
        return bool(self.values())

    def is_wide(self) -> bool:
        """Whether no index answers it alone: many entries may have to be looked at for one that fits."""
        values = self.values()
        return "q" in values or sum(name in values for name in ("who", "action", "kind", "result")) > 1


def _checked(day: date | None) -> date | None:
    if day is not None and not 1970 <= day.year <= 9000:  # what every database and clock can count with
        raise ValidationError(_("Give a day that can be."), code="invalid")
    return day


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


@dataclass
class Page:
    rows: list[Entry]
    older: str = ""  # the place where the next page begins; "" if nothing is older
    looked_to: datetime | None = None  # it was only looked this far back


def place_of(at: datetime, pk: int) -> str:
    return f"{(at - EPOCH) // timedelta(microseconds=1)}.{pk}"


def before_place(rows: QuerySet[Entry], place: str) -> QuerySet[Entry]:
    """Those that are older than this place; all if it is none."""
    found = PLACE.fullmatch(place)
    if found is None:
        return rows
    try:
        at = EPOCH + timedelta(microseconds=int(found[1]))
    except OverflowError:
        return rows
    return rows.filter(at__lte=at).exclude(at=at, id__gte=int(found[2]))


def read_page(rows: QuerySet[Entry], form: AuditFilter, place: str, size: int = PER_PAGE) -> Page:
    """The newest entries older than `place`."""
    rows = before_place(form.apply(rows), place).order_by("-at", "-id")
    end = _far_back(place) if form.is_wide() else None
    found = list((rows.filter(at__gte=end[0]) if end else rows)[: size + 1])
    if len(found) > size:
        return Page(found[:size], place_of(found[size - 1].at, found[size - 1].pk))
    return Page(found, place_of(end[0], 0), end[0]) if end else Page(found)


def _far_back(place: str) -> tuple[datetime, int] | None:
    """Where the look ends: SCAN entries older than the place. None if there are not so many."""
    newest = before_place(Entry.objects.all(), place).order_by("-at", "-id")
    return newest.values_list("at", "id")[SCAN : SCAN + 1].first()


def all_of(rows: QuerySet[Entry]) -> Iterator[list[Entry]]:
    """Every entry of a filtered list, newest first, in pieces: memory and locks stay small however many there are."""
    place = ""
    while piece := list(before_place(rows, place).order_by("-at", "-id")[:PIECE]):
        yield piece
        place = place_of(piece[-1].at, piece[-1].pk)
