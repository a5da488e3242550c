"""Quotas: which holds for whom, what is left, and reserving of it. Nothing is promised twice, however many ask at once.

Whoever reserves holds the row of each holder (the person, the group) until the transaction ends. SQLite has one writer
at a time; on PostgreSQL it is the lock of that row.
"""

from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import Group, User
from jobs.errors import Refused
from selfservice.measures import LABELS, MEASURES, Amount, shown
from selfservice.models import Quota, Reservation
from selfservice.usage import Holder, usage_of
from ui import locks
from ui.text import Text
from vms.models import Vm

NOBODYS = Q(user=None, group=None)  # it is everybody's


class Gauge(NamedTuple):
    """One measure of one holder: what is in use, what would come to it, and the limit (None: there is none)."""

    measure: str
    used: int
    more: int
    limit: int | None

    @property
    def label(self) -> Text:
        return LABELS[self.measure]

    @property
    def total(self) -> int:
        return self.used + self.more

    @property
    def percent(self) -> float:
        if not self.limit:
            return 100.0 if self.limit == 0 else 0.0
        return 100 * self.total / self.limit

    @property
    def is_over(self) -> bool:
        """More than there may be, by what is asked for; who has too much already may still ask for nothing of it."""
        return self.limit is not None and self.more > 0 and self.total > self.limit

    @property
    def words(self) -> str:
        total = shown(self.measure, self.total)
        if self.limit is None:
            return total
        return _("%(used)s of %(limit)s") % {"used": total, "limit": shown(self.measure, self.limit)}


def everybodys() -> Quota | None:
    return Quota.objects.filter(NOBODYS).first()


def quota_of(holder: Holder) -> Quota | None:
    """Their own, or a person's that is for everybody. None is no limit."""
    own = Q(**key_of(holder))
    found = Quota.objects.filter(own | NOBODYS if isinstance(holder, User) else own).order_by()
    rows = {row.user_id or row.group_id: row for row in found}
    return rows.get(holder.pk) or rows.get(None)


def key_of(holder: Holder | None) -> dict[str, Any]:
    """The columns that find a holder's quota; None is everybody."""
    user, group = (holder if isinstance(holder, kind) else None for kind in (User, Group))
    return {"user": user, "group": group}


def gauges(holder: Holder | None, more: Amount | None = None) -> list[Gauge]:
    """What they have of what they may have, with what would come to it. None: somebody new, who has nothing."""
    quota = everybodys() if holder is None else quota_of(holder)
    used, more = Amount() if holder is None else usage_of(holder), more or Amount()
    limits: dict[str, int | None] = quota.limits() if quota else dict.fromkeys(MEASURES)
    return [Gauge(name, getattr(used, name), getattr(more, name), limits[name]) for name in MEASURES]


def check(holder: Holder, more: Amount, *, asker: User | None) -> None:
    """Raise Refused for the first measure it is too much for. Only holds for as long as the holder's row is held."""
    for gauge in gauges(holder, more):
        if gauge.is_over:
            words = {
                "what": gauge.label,
                "who": holder,
                "used": shown(gauge.measure, gauge.used),
                "limit": shown(gauge.measure, gauge.limit or 0),
                "more": shown(gauge.measure, gauge.more),
            }
            mine = _("Over your quota. %(what)s: %(used)s of %(limit)s in use, %(more)s more asked for.")
            theirs = _("Over the quota of %(who)s. %(what)s: %(used)s of %(limit)s in use, %(more)s more asked for.")
            raise Refused((mine if holder == asker else theirs) % words, field=gauge.measure)


def hold(*holders: Holder | None) -> None:
    """Hold their rows until the transaction ends: people first, so that two never wait for each other."""
    for holder in sorted((one for one in holders if one is not None), key=lambda one: isinstance(one, Group)):
        locks.hold(holder)


@transaction.atomic
def reserve(
    user: User, amounts: list[Amount], label: str, group: Group | None = None, *, told: User | None = None
) -> list[Reservation]:
    """A reservation for each of these, all or none. Raises Refused, with the measure as its field.

    told: who reads why not, if it is not the person themselves.
    """
    hold(user, group)
    total = Amount()
    for amount in amounts:
        total = total.plus(amount)
    for holder in (user, group):
        if holder is not None:
            check(holder, total, asker=told or user)
    return [
        Reservation.objects.create(user=user, group=group, label=label[:200], **amount._asdict()) for amount in amounts
    ]


def release(why: str, **which: Any) -> int:
    """End the open ones among these; what ended before keeps its reason. Returns how many."""
    now = timezone.now()
    return Reservation.objects.filter(released_at=None, **which).update(released_at=now, why=why[:200])


def attach(reservation: Reservation, vm: Vm) -> None:
    """From now on it counts in the place of this VM."""
    Reservation.objects.filter(pk=reservation.pk, released_at=None).update(vm=vm)


def set_limits(holder: Holder | None, limits: dict[str, int | None]) -> Quota:
    """The quota of a person, of a group, or (None) of everybody who has none of their own."""
    return Quota.objects.update_or_create(**key_of(holder), defaults=limits)[0]


def drop(holder: Holder) -> bool:
    """From now on what is for everybody holds for them. False: it did already."""
    found = Quota.objects.filter(**key_of(holder)).first()
    if found is not None:
        found.delete()
    return found is not None
