"""What waits for a person, worst first. Each rule is one query, looks at the database only and leads to the cure.

The page is asked for often: queries in which nothing changes are put together once, and every slice is a new one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Exists, F, Func, IntegerField, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from access.models import User
from access.rules import Person, can, visible
from cluster.figures import ANSWERED, WRONG_CLOCK, Look, PoolUse, look
from hosts.models import RENEW_BEFORE, Host
from hosts.states import HostState, Transport
from jobs.discretion import tidy
from jobs.models import Job
from jobs.states import State
from notices import delivery
from selfservice import leases
from selfservice.deciding import undecided
from storage.filling import FULL_PERCENT, VERY_FULL_PERCENT
from storage.models import PoolOnHost
from ui import text
from vms.models import Vm
from vms.states import VmState

EACH = 3  # of one kind; the rest is one line
MANY = 20
SILENT_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class Item:
    """One line with one button."""

    tone: str  # bad, warn, info
    icon: str
    title: str
    why: str
    url: str
    button: str
    since: datetime | None = None
    is_dialog: bool = False


class JsonLength(Func):
    """How many entries a JSON list has."""

    function = "json_array_length"
    output_field = IntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="jsonb_array_length", **context)


def some(rows: QuerySet[Any]) -> tuple[list[Any], bool]:
    """The first rows, and whether there are more."""
    found = list(rows[: EACH + 1])
    return found[:EACH], len(found) > EACH


def named(rows: QuerySet[Vm], since: str) -> QuerySet[Vm, tuple[Any, ...]]:
    return rows.order_by(f"-{since}").values_list("name", "uuid", since)


def first_vms(rows: QuerySet[Vm, tuple[Any, ...]]) -> tuple[list[Any], str]:
    """The first of these VMs (name, uuid, since), and how many there are beyond them: "" for none, "20+" for many."""
    found = list(rows[: EACH + MANY + 1])
    rest = len(found) - EACH
    return found[:EACH], f"{MANY}+" if rest > MANY else str(rest) if rest > 0 else ""


def nobody_watches(hosts: dict[str, Any]) -> Iterator[Item]:
    last = hosts["last_seen"]
    if last and timezone.now() - last > SILENT_AFTER:
        yield Item(
            "bad",
            "eye-off",
            _("No host is being watched"),
            _("is the process “watch” running? everything here is old"),
            reverse("hosts:index"),
            _("Look"),
            last,
        )


def jobs_wait() -> Iterator[Item]:
    old = timezone.now() - SILENT_AFTER
    busy = Job.objects.filter(state=State.RUNNING, heartbeat_at__gte=old)
    waiting = Job.objects.filter(state=State.QUEUED, created_at__lt=old).filter(~Exists(busy))
    job = waiting.order_by("id").only("id", "created_at").first()
    if job is not None:
        why = _("no worker takes them: is the process “work” running?")
        yield Item(
            "bad",
            "hourglass",
            _("Jobs wait"),
            why,
            reverse("jobs:index") + "?state=queued",
            _("Look"),
            job.created_at,
        )


DUPLICATES = Vm.objects.filter(is_duplicate=True).order_by("name").only("name", "uuid")


def duplicates() -> Iterator[Item]:
    rows, more = some(DUPLICATES)
    for vm in rows:
        why = _("it may destroy its own disk: shut one of them down now")
        yield Item(
            "bad",
            "copy",
            _("%(vm)s runs on two hosts") % {"vm": vm.name},
            why,
            vm.get_absolute_url(),
            _("Decide"),
        )
    if more:
        yield Item("bad", "copy", _("more VMs run on two hosts"), "", reverse("vms:index"), _("See"))


HOST = ("name", "observed_state", "state_since", "seen_at", "last_error")
VMS_THERE = Vm.objects.filter(host=OuterRef("pk")).order_by().values("host").annotate(n=Count("pk")).values("n")
SILENT = (
    Host.objects.filter(is_managed=True)
    .exclude(observed_state__in=ANSWERED)
    .order_by("-state_since", "name")
    .annotate(count=Coalesce(Subquery(VMS_THERE), 0))
    .only(*HOST)
)


def silent_hosts(silent: int) -> Iterator[Item]:
    for host in SILENT[:EACH]:
        why = host.last_error or ngettext("%(n)s VM was there", "%(n)s VMs were there", host.count) % {"n": host.count}
        if host.observed_state == HostState.REFUSED:
            title = _("%(host)s refuses us") % {"host": host.name}
        else:
            title = _("%(host)s does not answer") % {"host": host.name}
        tone = "info" if host.observed_state == HostState.NEW else "bad"
        yield Item(tone, "server-off", title, why, host.get_absolute_url(), _("Look"), host.seen_at)
    if silent > EACH:
        rest = silent - EACH
        title = ngettext("%(n)s more host does not answer", "%(n)s more hosts do not answer", rest) % {"n": rest}
        yield Item("bad", "server-off", title, "", reverse("hosts:index") + "?state=unreachable", _("See"))


def full_pools(uses: list[PoolUse]) -> Iterator[Item]:
    full = [use for use in uses if use.percent >= FULL_PERCENT]
    for use in full[:EACH]:
        where = _("on %(host)s · ") % {"host": use.host_name} if use.host_name else ""
        yield Item(
            "bad" if use.percent >= VERY_FULL_PERCENT else "warn",
            "database",
            _("Pool %(pool)s is %(percent)s full") % {"pool": use.name, "percent": text.percent(use.percent)},
            where + _("%(free)s free") % {"free": text.size(use.capacity - use.used)},
            reverse("storage:pool", args=[use.pk]),
            _("Look"),
        )
    if len(full) > EACH:
        title = _("%(n)s more pools are nearly full") % {"n": len(full) - EACH}
        yield Item("warn", "database", title, "", reverse("storage:index"), _("See"))


MISSING_THERE = Q(is_active=False) | Q(missing_since__isnull=False) | ~Q(error="")
BROKEN = (
    PoolOnHost.objects.filter(MISSING_THERE, wanted=True, host__observed_state=HostState.UP)
    .values("pool_id", "pool__name")
    .annotate(n=Count("pk"), host=Max("host__name"))
    .order_by("pool__name")
)


def broken_pools() -> Iterator[Item]:
    rows, more = some(BROKEN)
    for row in rows:
        where = row["host"] if row["n"] == 1 else ngettext("%(n)s host", "%(n)s hosts", row["n"]) % {"n": row["n"]}
        title = _("Pool %(pool)s is not active on %(where)s") % {"pool": row["pool__name"], "where": where}
        why = _("VMs with disks there can't start or move there")
        yield Item("warn", "database-off", title, why, reverse("storage:pool", args=[row["pool_id"]]), _("Repair"))
    if more:
        yield Item("warn", "database-off", _("more pools are not active"), "", reverse("storage:index"), _("See"))


GONE = named(
    Vm.objects.filter(missing_since__isnull=False).exclude(host__observed_state=HostState.UNREACHABLE), "missing_since"
)


def missing_vms() -> Iterator[Item]:
    rows, more = first_vms(GONE)
    for name, uuid, since in rows:
        title = _("%(vm)s is missing") % {"vm": name}
        why = _("no host reports it any more")
        yield Item("warn", "help-circle", title, why, reverse("vms:detail", args=[uuid]), _("Look"), since)
    if more:
        title = _("%(n)s more VMs are missing") % {"n": more}
        yield Item("warn", "help-circle", title, "", reverse("vms:index") + "?state=unknown", _("See"))


CRASHED = named(
    Vm.objects.filter(observed_state=VmState.CRASHED, missing_since=None, host__observed_state=HostState.UP),
    "state_since",
)


def crashed_vms() -> Iterator[Item]:
    rows, more = first_vms(CRASHED)
    for name, uuid, since in rows:
        title, why = _("%(vm)s crashed") % {"vm": name}, _("its screen may say why")
        yield Item("warn", "alert-triangle", title, why, reverse("vms:detail", args=[uuid]), _("Look"), since)
    if more:
        title = _("%(n)s more VMs crashed") % {"n": more}
        yield Item("warn", "alert-triangle", title, "", reverse("vms:index") + "?state=crashed", _("See"))


def failed_jobs(user: Person) -> Iterator[Item]:
    """Of the last day, and not repaired since: a later job of the same kind on the same thing went well."""
    since = timezone.now() - timedelta(days=1)
    later = Job.objects.filter(
        operation=OuterRef("operation"),
        target_kind=OuterRef("target_kind"),
        target_key=OuterRef("target_key"),
        state=State.SUCCEEDED,
        pk__gt=OuterRef("pk"),
    )
    bad = visible(user, Job.objects.filter(state__in=[State.FAILED, State.ERRORED], finished_at__gte=since))
    bad = bad.filter(~Exists(later), parent=None)
    rows, more = some(bad.order_by("-id").only("id", "title", "state", "error", "finished_at"))
    tidy(user, rows)
    for job in rows:
        title = _("Failed: %(job)s") % {"job": job.title}
        why = _("Drover made a mistake; the job tells which.") if job.state == State.ERRORED else job.error
        yield Item("warn", "circle-x", title, why, job.get_absolute_url(), _("Read"), job.finished_at)
    if more:
        title = _("More jobs failed today")  # counting them would take longer than all the rest
        yield Item("warn", "circle-x", title, "", reverse("jobs:index") + "?state=bad", _("See"))


BY_SSH = Host.objects.filter(transport=Transport.SSH, is_managed=True)
LONELY = (
    BY_SSH.filter(observed_state=HostState.UP)
    .annotate(known=JsonLength("trusted_hosts"), all=BY_SSH.values("transport").annotate(n=Count("pk")).values("n"))
    .filter(known__lt=F("all") - 1)
    .order_by("name")
    .only("name")
)


def strangers() -> Iterator[Item]:
    """Hosts that cannot log in to all others: live migration between them needs it."""
    rows, more = some(LONELY)
    if rows:
        names = ", ".join(host.name for host in rows) + ("…" if more else "")
        title = _("Some hosts can't log in to all others")
        why = _("%(hosts)s: VMs can't move live from there") % {"hosts": names}
        yield Item("info", "key", title, why, reverse("hosts:index"), _("Look"))


def wrong_clocks() -> Iterator[Item]:
    wrong = Host.objects.filter(WRONG_CLOCK, observed_state=HostState.UP, is_managed=True)
    rows, more = some(wrong.order_by("name").only("name", "clock_offset_s"))
    for host in rows:
        title = _("The clock of %(host)s is wrong") % {"host": host.name}
        why = _("by %(time)s; set up time synchronisation there") % {
            "time": text.duration(abs(host.clock_offset_s or 0))
        }
        yield Item("info", "clock-exclamation", title, why, host.get_absolute_url(), _("Look"))
    if more:
        yield Item("info", "clock-exclamation", _("more clocks are wrong"), "", reverse("hosts:index"), _("See"))


def certificates(*, may_renew: bool) -> Iterator[Item]:
    """Of encrypted migration. All are made at once, so they are one line; the dialog renews all."""
    ending = Host.objects.filter(is_managed=True, certificate_until__lt=timezone.now() + RENEW_BEFORE)
    rows, more = some(ending.order_by("certificate_until", "name").only("name", "certificate_until"))
    if not rows:
        return
    url = reverse("hosts:encryption") if may_renew else rows[0].get_absolute_url()
    button = _("Renew…") if may_renew else _("Look")
    names = ", ".join(host.name for host in rows) + ("…" if more else "")
    if rows[0].certificate_is_valid:
        title, why, since = _("Certificates of hosts end soon"), _("%(hosts)s: then VMs can't move encrypted"), None
    else:
        title, why = _("Certificates of hosts have ended"), _("%(hosts)s: VMs can't move encrypted")
        since = rows[0].certificate_until
    tone = "info" if since is None else "warn"
    yield Item(tone, "lock", title, why % {"hosts": names}, url, button, since, is_dialog=may_renew)


def unfinished_hosts() -> Iterator[Item]:
    """For those who may go on with it."""
    adding = Host.objects.filter(is_managed=False).order_by("-pk").only("name", "setup_step")
    rows, more = some(adding)
    for host in rows:
        title = _("%(host)s is not added yet") % {"host": host.name}
        why = _("next: %(step)s") % {"step": host.get_setup_step_display()}
        yield Item("info", "server-2", title, why, reverse("hosts:setup", args=[host.pk]), _("Go on"))
    if more:
        yield Item("info", "server-2", _("more hosts are not added yet"), "", reverse("hosts:index"), _("See"))


class Waiting(NamedTuple):
    """Somebody who waits for a decision."""

    asker: str
    asked_at: datetime
    escalated_at: datetime | None


def requests_wait(user: Person) -> Iterator[Item]:
    """For those who may decide them."""
    if not isinstance(user, User) or not can(user, "selfservice.decide"):
        return
    new = undecided(user).values_list("asker__username", "asked_at", "escalated_at")[: MANY + 1]
    longer = leases.undecided(user).values_list("asker__username", "longer_at", "escalated_at")[: MANY + 1]
    waiting = [Waiting(who, at, late) for who, at, late in (*new, *longer) if at]
    if not waiting:
        return
    late = [one for one in waiting if one.escalated_at is not None]
    words = ngettext("%(n)s request waits to be decided", "%(n)s requests wait to be decided", len(waiting))
    count = f"{MANY}+" if len(waiting) > MANY else str(len(waiting))
    names = ", ".join(dict.fromkeys(one.asker for one in late or waiting))
    why = _("nobody has answered %(names)s in time") if late else _("asked by %(names)s")
    title, since = words % {"n": count}, min(one.asked_at for one in late or waiting)
    yield Item(
        "warn" if late else "info",
        "inbox",
        title,
        why % {"names": names},
        reverse("selfservice:inbox"),
        _("Decide"),
        since,
    )


def mails_wait(user: Person) -> Iterator[Item]:
    """For those who can do something about the server."""
    if not settings.EMAIL_HOST or not can(user, "access.manage"):
        return
    waiting = delivery.waiting_since()
    if waiting is not None:
        title, url = _("Mails can't be sent"), reverse("notices:choices")
        yield Item("warn", "mail-off", title, waiting.why, url, _("Read"), waiting.since)


ALWAYS: list[Callable[[], Iterator[Item]]] = [
    jobs_wait,
    duplicates,
    broken_pools,
    missing_vms,
    crashed_vms,
    strangers,
]
ORDER = {"bad": 0, "warn": 1, "info": 2}


def attention(user: Person, seen: Look | None = None) -> list[Item]:
    """All items for this person; `seen` if it was looked already."""
    items = [*failed_jobs(user), *requests_wait(user), *mails_wait(user)]
    if not can(user, "hosts.view"):
        return items
    hosts, uses = seen or look()
    may_manage = can(user, "hosts.manage")
    items = [*nobody_watches(hosts), *(item for rule in ALWAYS for item in rule()), *items]
    items += full_pools(uses)
    if hosts["failing"]:
        items += silent_hosts(hosts["failing"])
    if hosts["late"]:
        items += wrong_clocks()
    if hosts["ending"]:
        items += certificates(may_renew=may_manage)
    if hosts["adding"] and may_manage:
        items += unfinished_hosts()
    return sorted(items, key=lambda item: ORDER[item.tone])
