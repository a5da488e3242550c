"""Pools that fill up: administrators hear of it at 80 and at 90 %, once each time it happens."""

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import Role, User
from notices import kinds
from notices.kinds import Kind
from notices.tell import tell
from storage.models import PoolOnHost
from ui import text

FULL_PERCENT, VERY_FULL_PERCENT = 80, 90
LEFT_BELOW = 5  # so many percent below a level it is over: files that come and go are no news
kinds.register(
    Kind(
        "pool",
        gettext_lazy("Pools that fill up"),
        gettext_lazy("At 80 and at 90 %."),
        needs="storage.manage",
        icon="database",
    )
)


def percent_used(cell: PoolOnHost) -> float | None:
    """How full the pool is there, None if nobody knows."""
    if not cell.capacity_bytes or cell.available_bytes is None:
        return None
    return 100.0 * (cell.capacity_bytes - cell.available_bytes) / cell.capacity_bytes


def look(cell: PoolOnHost) -> None:
    """Tell of a cell that has just been read, if it has come over a level. In the transaction that stores it."""
    used = percent_used(cell)
    if used is None:
        return
    level = next((one for one in (VERY_FULL_PERCENT, FULL_PERCENT) if used >= one), 0)
    if level > cell.told_percent:
        if _note(cell, level) and not _is_told(cell, level):
            _tell(cell, used)
    elif level < cell.told_percent and used < cell.told_percent - LEFT_BELOW:
        _note(cell, level)


def _note(cell: PoolOnHost, level: int) -> bool:
    """False if somebody else looked at the same moment."""
    return bool(PoolOnHost.objects.filter(pk=cell.pk, told_percent=cell.told_percent).update(told_percent=level))


def _is_told(cell: PoolOnHost, level: int) -> bool:
    """Of a shared pool every host says the same."""
    others = PoolOnHost.objects.filter(pool=cell.pool, told_percent__gte=level).exclude(pk=cell.pk)
    return cell.pool.is_shared and others.exists()


def _tell(cell: PoolOnHost, used: float) -> None:
    people = User.objects.filter(Q(role=Role.ADMINISTRATOR) | Q(is_superuser=True), is_active=True)
    words = {
        "pool": cell.pool,
        "host": cell.host,
        "percent": text.percent(used),
        "free": text.size(cell.available_bytes),
    }
    if cell.pool.is_shared:
        title = _("The pool %(pool)s is %(percent)s full") % words
    else:
        title = _("The pool %(pool)s on %(host)s is %(percent)s full") % words
    lines = [_("%(free)s are free. When nothing is left, VMs that write to it stand still.") % words]
    tell("pool", people, title=title, lines=lines, url=cell.pool.get_absolute_url())
