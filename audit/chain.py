"""The chain of digests: sealing entries, checking them, and letting old ones go so that the rest can still be checked.

An entry is written with the change it tells of, and sealed right after that was committed: it gets the next number and
a digest (HMAC-SHA256 with a key made of SECRET_KEY) over all it says and over the digest before it. Sealing is a short
transaction of its own under the lock of the one `Chain` row, so that no other transaction ever waits for that lock, and
one that is undone leaves no gap. What a killed process left unsealed, the clock seals.
"""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from audit.models import FACTS, Chain, Entry

SALT_ENTRY, SALT_CHAIN = "drover.audit.entry", "drover.audit.chain"
SEAL_BATCH, FORGET_BATCH, READ_BATCH = 500, 5000, 2000
NOTES = ("number", "digest", "anchor_number", "anchor_digest")


def digest_of(facts: dict[str, Any], previous: str, key: str) -> str:
    values = [facts[name] for name in FACTS]
    values[FACTS.index("at")] = facts["at"].astimezone(UTC).isoformat()
    text = json.dumps([previous, *values], sort_keys=True, separators=(",", ":"))
    return str(salted_hmac(SALT_ENTRY, text, secret=key, algorithm="sha256").hexdigest())


def signature_of(chain: Chain, key: str) -> str:
    text = json.dumps([getattr(chain, name) for name in NOTES])
    return str(salted_hmac(SALT_CHAIN, text, secret=key, algorithm="sha256").hexdigest())


def keys() -> list[str]:
    """The key of now, then those of before."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def is_signed(chain: Chain) -> bool:
    return any(constant_time_compare(chain.signature, signature_of(chain, key)) for key in keys())


def seal() -> int:
    """Give every committed entry its place in the chain. Returns how many there were."""
    sealed = 0
    while Entry.objects.filter(number=None).exists():
        with transaction.atomic():
            chain = _locked()
            rows = list(Entry.objects.filter(number=None).order_by("id")[:SEAL_BATCH])
            for row in rows:
                row.number, row.previous = chain.number + 1, chain.digest
                row.digest = digest_of(row.facts(), row.previous, settings.SECRET_KEY)
                chain.number, chain.digest = row.number, row.digest
                Entry.objects.filter(pk=row.pk).update(number=row.number, previous=row.previous, digest=row.digest)
            if rows:
                _store(chain)
        sealed += len(rows)
        keep_aside(chain)
    return sealed


def _locked() -> Chain:
    """The chain's row, ours until the transaction ends (SQLite: the transaction has the write lock already)."""
    Chain.objects.get_or_create(pk=1)
    return Chain.objects.select_for_update().get(pk=1)


def _store(chain: Chain) -> None:
    chain.signature = signature_of(chain, settings.SECRET_KEY)
    chain.save(update_fields=[*NOTES, "signature"])


def keep_aside(chain: Chain) -> None:
    """Note the end of the chain in a file beside the database: who takes the newest entries away is found out."""
    path: Path = settings.AUDIT_HEAD_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    fresh.write_text(f"{chain.number} {chain.digest}\n")
    fresh.replace(path)


def kept_aside() -> tuple[int, str] | None:
    try:
        number, _space, digest = settings.AUDIT_HEAD_FILE.read_text().strip().partition(" ")
    except FileNotFoundError:
        return None
    return (int(number), digest) if number.isdigit() else (0, "")


def rows_after(number: int) -> Iterator[Entry]:
    """The sealed entries after this one, in the chain's order, in pieces: nothing is locked or held meanwhile."""
    while batch := list(Entry.objects.filter(number__gt=number).order_by("number")[:READ_BATCH]):
        yield from batch
        number = batch[-1].number or 0


def forget_old(days: int) -> int:
    """Delete the entries older than this many days from the beginning of the chain; returns how many. 0 keeps all.

    The digest of the last one that went is the anchor from which the rest can be checked.
    """
    if days <= 0:
        return 0
    limit, gone = timezone.now() - timedelta(days=days), 0
    while True:
        with transaction.atomic():
            chain: Any = _locked()
            first = Entry.objects.filter(number__gt=chain.anchor_number).order_by("number")
            ends = list(first.values_list("at", "number", "digest")[:FORGET_BATCH])
            old = list(takewhile(lambda end: end[0] < limit, ends))
            if not old:
                return gone
            _at, chain.anchor_number, chain.anchor_digest = old[-1]
            Entry.objects.filter(number__lte=chain.anchor_number).delete()
            _store(chain)
        gone += len(old)


def accept() -> Chain:
    """Take the entries as they are for the chain: after a backup was restored, or SECRET_KEY was lost."""
    with transaction.atomic():
        chain = _locked()
        first = Entry.objects.exclude(number=None).order_by("number").first()
        last = Entry.objects.exclude(number=None).order_by("-number").first()
        if first is None or last is None:
            chain.anchor_number, chain.anchor_digest = chain.number, chain.digest
        else:
            chain.anchor_number, chain.anchor_digest = (first.number or 1) - 1, first.previous
            chain.number, chain.digest = last.number or 0, last.digest
        _store(chain)
    keep_aside(chain)
    return chain
