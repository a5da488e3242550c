"""Classes: a VM of an offer for each of a group's people, made and looked after together.

Each seat is a request like any other, which who makes the class approves by making it: quotas, leases, rights and
notices hold for it as for all requests.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.groups import put_in
from access.models import Group, SshKey, User
from access.people import Denied, by_names
from access.rules import can, everywhere, visible
from audit import actions
from audit.entries import record
from jobs.engine import enqueue
from jobs.errors import Refused
from selfservice import first_boot, offers, quotas, terms
from selfservice.class_operations import START, MakeClass, busy
from selfservice.lease_notices import shown
from selfservice.measures import Amount
from selfservice.models import Approval, LabClass, Offer, OfferVersion, Request, RequestEvent, Reservation, Seat
from selfservice.sizes import SIZES, check_sizes
from selfservice.states import RequestState, Step
from selfservice.steps import change, locked, note
from virt import names
from vms import screens
from vms.checks import words
from vms.models import Snapshot, Vm
from vms.states import VmState

PATTERN = "<class>-<user>"
MOST_SEATS, MOST_NAME = 200, 60
NOT_LEGAL = re.compile(r"[^A-Za-z0-9._-]+")
SIGNS = re.compile(r"#+")
PLACES = re.compile(r"<[^<>]*>")
S = RequestState
for key, text in (
    ("selfservice.class_made", gettext_lazy("New class")),
    ("selfservice.class_again", gettext_lazy("Try a class again")),
):
    actions.name(key, text)


# --- who may, and from what ------------------------------------------------------------------------------------------


def may_make(user: User, group: Group) -> bool:
    return can(user, "classes.manage", group)


def offered(user: User, group: Group) -> QuerySet[Offer]:
    """What classes of this group can be made of: what the maker may ask for, and what its people may."""
    return offers.offered(user) | Offer.objects.filter(archived_at=None, pk__in=group.offers.values("pk"))


def candidates(group: Group) -> QuerySet[User]:
    return User.objects.filter(memberships__group=group, is_active=True).order_by("username")


def without_key(people: list[User]) -> list[str]:
    """Usernames of those whose VMs let nobody in by SSH: a VM gets the keys that its person has when it is made."""
    having = set(SshKey.objects.filter(user__in=people).values_list("user", flat=True))
    return [one.username for one in people if one.pk not in having]


def people_of(by: User, group: Group, usernames: list[str]) -> tuple[list[User], list[str]]:
    """The people of these usernames, and a line for each name that can't be in the class.

    Who is not in the group is put into it, if who makes the class may do that.
    """
    found, unknown = by_names(usernames)
    members = set(candidates(group).values_list("pk", flat=True))
    wrong = [_("%(name)s: there is nobody of this name.") % {"name": name} for name in unknown]
    if not can(by, "access.manage"):
        wrong += [_("%(name)s is not in the group.") % {"name": one} for one in found if one.pk not in members]
    return found, wrong


def _fill(by: User, group: Group, people: list[User]) -> None:
    """Those who are not in the group yet."""
    members = set(candidates(group).values_list("pk", flat=True))
    new = [one for one in people if one.pk not in members]
    if not new:
        return
    if not can(by, "access.manage"):
        raise Refused(_("%(name)s is not in the group.") % {"name": new[0]}, field="people")
    try:
        put_in(by, group, [one.username for one in new])
    except Denied as denied:
        raise Refused(denied.message, field="people") from denied


# --- names -----------------------------------------------------------------------------------------------------------


def slug(text: str) -> str:
    """What of a name can be in the name of a VM."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return NOT_LEGAL.sub("-", plain).strip("-._") or "x"


def names_of(pattern: str, lab_class: str, people: list[User]) -> list[str]:
    """The VMs' names. Raises Refused if they can't be names, are the same, or somebody has one already."""
    if unknown := set(PLACES.findall(pattern)) - {"<user>", "<class>"}:
        raise Refused(
            _("Only <user>, <class> and # stand for something, not %(what)s.") % {"what": unknown.pop()},
            field="pattern",
        )
    found = []
    for number, person in enumerate(people, 1):
        name = pattern.replace("<class>", slug(lab_class)).replace("<user>", slug(person.username))
        found.append(_numbered(name, number))
    for name in found:
        _check_name(name)
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise Refused(
            _("Two VMs would be called %(name)s: put <user> or # into the names.") % {"name": twice}, field="pattern"
        )
    return found


def _numbered(name: str, number: int) -> str:
    def digits(signs: re.Match[str]) -> str:
        return f"{number:0{len(signs.group())}d}"

    return SIGNS.sub(digits, name)


def _check_name(name: str) -> None:
    if len(name) > MOST_NAME:
        words_ = {"name": name, "n": MOST_NAME}
        raise Refused(_("%(name)s is longer than %(n)s characters.") % words_, field="pattern")
    try:
        names.check_vm_name(name)
    except names.Refused as refused:
        raise Refused(f"{name}: {words(refused)}", field="pattern") from refused


def _check_free(wanted: list[str]) -> None:
    taken = list(Vm.objects.filter(name__in=wanted).order_by("name").values_list("name", flat=True)[:3])
    if taken:
        words_ = {"names": ", ".join(taken)}
        raise Refused(_("There are VMs of this name already: %(names)s.") % words_, field="pattern")


# --- making ----------------------------------------------------------------------------------------------------------


@dataclass
class Wish:
    """sizes: vcpus, memory_bytes, disk_bytes. until None: as long as the offer gives."""

    name: str
    version: OfferVersion
    people: list[User]
    sizes: dict[str, int]
    values: dict[str, Any]
    pattern: str = PATTERN
    until: datetime | None = None
    wants_snapshot: bool = True


def check(by: User, group: Group, wish: Wish) -> list[str]:
    """Everything but the quotas; the VMs' names. Raises Refused."""
    version = wish.version
    if version.pk != version.offer.latest().pk or not offered(by, group).filter(pk=version.offer_id).exists():
        raise Refused(_("The offer has changed meanwhile: look at it again."))
    if not wish.people:
        raise Refused(_("Choose at least one person."), field="people")
    if len(wish.people) > MOST_SEATS:
        raise Refused(_("At most %(n)s people in one class.") % {"n": MOST_SEATS}, field="people")
    check_sizes(version, {"count": 1, **wish.sizes})
    check_own_seat(by, group, wish)
    check_until(by, group, version, wish.until)
    found = names_of(wish.pattern, wish.name, wish.people)
    _check_free(found)
    return found


def check_own_seat(by: User, group: Group, wish: Wish) -> None:
    """Nobody approves their own request by a class: what somebody has to decide is decided by somebody else."""
    if by not in wish.people or everywhere(by, "vms.create") or wish.version.approval != Approval.ALWAYS:
        return
    raise Refused(_("You are in it yourself, and of this offer somebody else decides who gets one."), field="people")


def check_until(by: User, group: Group, version: OfferVersion, until: datetime | None) -> None:
    """Raise Refused for an end that has passed, or that is later than the offer gives to who may not decide that."""
    now = timezone.now()
    if until is None:
        return
    if until <= now:
        raise Refused(_("This has passed already."), field="until")
    if until > now + terms.days(terms.MOST_DAYS):
        raise Refused(_("That is too far away."), field="until")
    if version.most_lease_days is not None and not can(by, "selfservice.decide", group):
        most = now + terms.days(version.most_lease_days)
        if until > most:
            raise Refused(_("Its offer gives it until %(when)s at most.") % {"when": shown(most)}, field="until")


@transaction.atomic
def make(by: User, group: Group, wish: Wish) -> LabClass:
    """The class with a seat for each, all reserved or none, and the job that makes the VMs. Raises Refused."""
    if not may_make(by, group):
        raise PermissionDenied
    vm_names = check(by, group, wish)
    values = first_boot.clean(first_boot.Field.all_of(wish.version.fields), wish.values)
    _fill(by, group, wish.people)
    _check_room(by, group, wish)
    columns = {"version": wish.version, "pattern": wish.pattern, "wants_snapshot": wish.wants_snapshot}
    made = LabClass.objects.create(name=wish.name, group=group, made_by=by, **columns)
    for person, vm_name in zip(wish.people, vm_names, strict=True):
        _seat(made, person, vm_name, {"values": values, "until": wish.until, **wish.sizes})
    record("selfservice.class_made", by=by, on=made, details={"seats": len(vm_names), "group": group.name})
    made.job = enqueue(MakeClass(made), user=by)
    made.save(update_fields=["job"])
    return made


def _check_room(by: User, group: Group, wish: Wish) -> None:
    """For each of the people, and for the group all together; their rows are held from now on."""
    each, total = Amount(1, 1, *(wish.sizes[name] for name in SIZES)), Amount()
    people = sorted(wish.people, key=lambda person: person.pk)
    quotas.hold(*people, group)
    for person in people:
        quotas.check(person, each, asker=by)
        total = total.plus(each)
    quotas.check(group, total, asker=by)


def _seat(lab_class: LabClass, person: User, vm_name: str, columns: dict[str, Any]) -> None:
    version, by = lab_class.version, lab_class.made_by
    decided = {"state": S.APPROVED, "decided_by": by, "decided_at": timezone.now()}
    keys = [key.text for key in person.ssh_keys.all()]
    request = Request(asker=person, group=lab_class.group, version=version, pattern=vm_name, ssh_keys=keys, **decided)
    request.lease_days = version.lease_days
    for name, value in columns.items():
        setattr(request, name, value)
    request.save(force_insert=True)
    Seat.objects.create(lab_class=lab_class, user=person, request=request)
    label = _("%(names)s, for the class %(class)s") % {"names": vm_name, "class": lab_class}
    amount = request.amounts()[0]._asdict()
    Reservation.objects.create(user=person, group=lab_class.group, request=request, label=label[:200], **amount)
    note(request, Step.APPROVED, by=by, why=_("For the class %(name)s.") % {"name": lab_class})


@transaction.atomic
def again(lab_class: LabClass, by: User) -> LabClass:
    """Make the VMs that could not be made; what is there stays as it is."""
    if not can(by, "classes.manage", lab_class):
        raise PermissionDenied
    row = LabClass.objects.select_for_update(of=("self",)).select_related("group", "job").get(pk=lab_class.pk)
    if reason := busy(row):
        raise Refused(reason)
    failed = list(Request.objects.filter(seat__lab_class=row, state=S.FAILED).order_by("pk"))
    if not failed:
        raise Refused(_("None of its VMs has failed (any more)."))
    for one in failed:
        if locked(one).state == S.FAILED:
            change(one, S.APPROVED, Step.AGAIN, by=by)
    record("selfservice.class_again", by=by, on=row, details={"seats": len(failed)})
    row.job = enqueue(MakeClass(row), user=by)
    row.save(update_fields=["job"])
    return row


# --- looking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """One seat as its card shows it."""

    seat: Seat
    request: Request
    vm: Vm | None
    may_console: bool = False
    has_start: bool = False
    picture: screens.Picture | None = None
    why: str = ""  # it could not be made

    @property
    def is_coming(self) -> bool:
        return self.request.state in {S.APPROVED, S.BUILDING}

    @property
    def screen(self) -> str:
        """The topic of its screen, "" if there is nothing to see."""
        return screens.topic(self.vm.uuid) if self.vm is not None and self.vm.is_alive and self.may_console else ""


def classes_of(group: Group) -> QuerySet[LabClass]:
    counts = {
        "seats_number": Count("seats"),
        "ready_number": Count("seats", filter=Q(seats__request__leased_at__isnull=False)),
    }
    return group.classes.select_related("version__offer", "made_by").annotate(**counts)


def places(user: User, seats: QuerySet[Seat]) -> list[Place]:
    """The cards of these seats: four queries for any number of them, and one look at the pictures."""
    rows = list(seats.select_related("user", "request__job", "request__group").order_by("request__pattern", "pk"))
    vms = _vms([row.request_id for row in rows])
    seen = {key: vm for key, vm in vms.items() if can(user, "vms.view", vm)}
    alive = [vm.uuid for vm in seen.values() if vm.is_alive and can(user, "vms.console", vm)]
    pictures = screens.stamps(alive)
    with_start = set(Snapshot.objects.filter(vm__in=seen.values(), name=START).values_list("vm", flat=True))
    reasons = _reasons([row.request_id for row in rows if row.request.state == S.FAILED])
    found = []
    for row in rows:
        vm = seen.get(row.request_id)
        more = {} if vm is None else _more(user, vm, pictures, with_start)
        found.append(Place(row, row.request, vm, why=reasons.get(row.request_id, ""), **more))
    return found


def _reasons(requests: list[int]) -> dict[int, str]:
    """Why each of these failed last."""
    steps = RequestEvent.objects.filter(request__in=requests, step=Step.FAILED).order_by("pk")
    return dict(steps.values_list("request", "why")) if requests else {}


def _more(user: User, vm: Vm, pictures: dict[str, screens.Picture], with_start: set[int]) -> dict[str, Any]:
    return {
        "may_console": can(user, "vms.console", vm),
        "has_start": vm.pk in with_start,
        "picture": pictures.get(str(vm.uuid)),
    }


def _vms(requests: list[int]) -> dict[int, Vm]:
    """The VM of each request that has one."""
    rows = Vm.objects.filter(reservations__request__in=requests).annotate(of_request=F("reservations__request"))
    rows = rows.select_related("host", "job", "image").defer("definition", "live_definition", "cpu_history")
    return {vm.of_request: vm for vm in rows.order_by("pk")}


def vms_of(user: User, lab_class: LabClass) -> QuerySet[Vm]:
    """Those of its VMs that this person sees and that are made."""
    rows = Vm.objects.filter(reservations__request__seat__lab_class=lab_class).exclude(observed_state=VmState.CREATING)
    return visible(user, rows).order_by("name").distinct()
