"""Which watch process looks after which host: claims in the database that run out unless they are renewed.

Every process does the same, none leads: it takes hosts nobody holds, and takes one from the process that holds most
if that one has at least two more. A claim is a filtered UPDATE, so only one of several processes gets it.
"""

import os
import secrets
import socket
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from hosts.models import Host

LEASE = timedelta(seconds=12)
RENEW_EVERY_S = 4.0
_HERE = socket.gethostname()


def own_name() -> str:
    return f"{_HERE}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Claim:
    """A host as the claims say: who holds it, until when."""

    host_id: int
    watcher: str
    until: datetime | None

    def is_free(self, now: datetime) -> bool:
        return not self.watcher or self.until is None or self.until <= now or _is_gone(self.watcher)


def _is_gone(watcher: str) -> bool:
    """Whether it was a process of this machine that has ended: no need to wait until its claims run out."""
    machine, _, rest = watcher.partition(":")
    pid = rest.partition(":")[0]
    return machine == _HERE and pid.isdigit() and not os.path.exists(f"/proc/{pid}")


class Leases:
    """The hosts that this process holds. Not for several threads at once; touches the database."""

    def __init__(self, name: str = "") -> None:
        self.name = name or own_name()
        self._renewed_at = 0.0

    def tick(self) -> set[int]:
        """Renew, take what is free, take a fair share. Returns the primary keys of the hosts that are ours now."""
        if time.monotonic() - self._renewed_at >= RENEW_EVERY_S:
            Host.objects.filter(watcher=self.name).update(watcher_until=timezone.now() + LEASE)
            self._renewed_at = time.monotonic()
        now = timezone.now()
        rows = Host.objects.filter(is_managed=True).values_list("pk", "watcher", "watcher_until")
        claims = [Claim(*row) for row in rows]
        mine = {claim.host_id for claim in claims if claim.watcher == self.name}
        free = [claim for claim in claims if claim.watcher != self.name and claim.is_free(now)]
        mine |= {claim.host_id for claim in free if self._take(claim)}
        held = [claim for claim in claims if claim.watcher != self.name and claim not in free]
        return mine | self._share(held, len(mine))

    def _take(self, claim: Claim) -> bool:
        same = Host.objects.filter(pk=claim.host_id, watcher=claim.watcher, watcher_until=claim.until)
        return same.update(watcher=self.name, watcher_until=timezone.now() + LEASE) == 1

    def _share(self, held: list[Claim], own: int) -> set[int]:
        """Take a part of what the process with the most hosts has more than we."""
        if not held:
            return set()
        most, count = Counter(claim.watcher for claim in held).most_common(1)[0]
        wanted = max(0, count - own) // 2
        theirs = [claim for claim in held if claim.watcher == most]
        return {claim.host_id for claim in theirs[:wanted] if self._take(claim)}

    def release(self) -> None:
        """Give everything back, so that others take it at once."""
        Host.objects.filter(watcher=self.name).update(watcher="", watcher_until=None)


def age_of(seen_at: datetime | None) -> float:
    """Seconds since then, infinity for never."""
    return float("inf") if seen_at is None else (timezone.now() - seen_at).total_seconds()
