"""Checking the chain: the first entry that is not as it was written, or the entries that are gone."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from audit.chain import digest_of, is_signed, kept_aside, keys, rows_after
from audit.models import Chain, Entry


@dataclass
class Verdict:
    """`wrong` is "" if all is as it was written; `number` is the first wrong entry if it is one entry."""

    checked: int = 0
    first: int = 0
    last: int = 0
    unsealed: int = 0
    number: int | None = None
    wrong: str = ""


def verify(progress: Callable[[int], None] = lambda checked: None) -> Verdict:
    """Check everything. Reads only; entries may be added and forgotten meanwhile."""
    while True:
        chain = Chain.objects.filter(pk=1).first() or Chain()
        verdict = _walk(chain, progress)
        now = Chain.objects.filter(pk=1).first() or Chain()
        if not verdict.wrong or now.anchor_number == chain.anchor_number:  # else old entries went while we read
            break
    verdict.unsealed = Entry.objects.filter(number=None).count()
    return verdict


def _walk(chain: Chain, progress: Callable[[int], None]) -> Verdict:
    verdict = Verdict(first=chain.anchor_number + 1, last=chain.number)
    if not is_signed(chain) and (chain.number or Entry.objects.exclude(number=None).exists()):
        verdict.wrong = _("The note of where the chain ends was changed or removed.")
    early = Entry.objects.filter(number__lte=chain.anchor_number).order_by("number").first()
    if early is not None:
        return _found(verdict, early.number, _("was put before the beginning of the chain"))
    aside = kept_aside()
    before, expected = chain.anchor_digest, chain.anchor_number + 1
    for row in rows_after(chain.anchor_number):
        if row.number is None or (row.number > chain.number and not verdict.wrong):
            break
        if row.number != expected:
            return _found(verdict, expected, _missing(expected, row.number - 1))
        if wrong := _wrong_with(row, before, aside):
            return _found(verdict, row.number, wrong)
        before, expected = row.digest, row.number + 1
        verdict.checked += 1
        if verdict.checked % 100_000 == 0:
            progress(verdict.checked)
    return verdict if verdict.wrong else _end(verdict, chain, expected, before, aside)


def _wrong_with(row: Entry, before: str, aside: tuple[int, str] | None) -> str:
    facts = row.facts()
    if not any(constant_time_compare(row.digest, digest_of(facts, row.previous, key)) for key in keys()):
        return _("was changed, or put in by somebody else")
    if row.previous != before:
        return _("does not follow the one before it, which was exchanged")
    if aside is not None and aside[0] == row.number and aside[1] != row.digest:
        return _("is not the one that was noted beside the database")
    return ""


def _end(verdict: Verdict, chain: Chain, expected: int, before: str, aside: tuple[int, str] | None) -> Verdict:
    """After the last entry: whether the chain ends where it was noted, in the database and beside it."""
    if expected <= chain.number:
        return _found(verdict, expected, _missing(expected, chain.number))
    if before != chain.digest:
        return _found(verdict, chain.number, _("is not the one that was noted as the last"))
    newest = Chain.objects.filter(pk=1).values_list("number", flat=True).first() or 0
    beyond = Entry.objects.filter(number__gt=newest).order_by("number").first()
    if beyond is not None:
        return _found(verdict, beyond.number, _("was put after the end of the chain"))
    if aside is not None and aside[0] > newest:
        return _found(verdict, newest + 1, _missing(newest + 1, aside[0]))
    return verdict


def _missing(first: int, last: int) -> str:
    return _("is missing") if first == last else _("is missing, and all up to %(last)s") % {"last": last}


def _found(verdict: Verdict, number: int | None, what: str) -> Verdict:
    verdict.number = number
    said = _("Entry %(number)s %(what)s.") % {"number": number, "what": what}
    verdict.wrong = f"{said} {verdict.wrong}".strip()
    return verdict
