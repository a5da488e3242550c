"""Search over everything a person may see, and over what they may do. One query for each kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import Group as PeopleGroup
from access.models import User
from access.rules import Person, can, is_somebody, visible
from cluster.context import address
from hosts.models import Host, Network
from jobs.discretion import tidy
from jobs.filters import says
from jobs.models import Job
from selfservice import offers as available
from selfservice.models import LabClass
from storage.models import Image, Pool
from ui import text
from vms.models import Vm

EACH = 6
LONGEST = 100


@dataclass(frozen=True)
class Hit:
    icon: str
    label: str
    note: str
    url: str
    is_dialog: bool = False


@dataclass(frozen=True)
class Group:
    title: str
    hits: list[Hit]


# address, permission, icon, label, other words for it, opens as a dialog
ACTIONS: list[tuple[str, str, str, Promise, Promise, bool]] = [
    ("vms:create", "vms.create", "plus", gettext_lazy("New VM"), gettext_lazy("create virtual machine"), False),
    ("hosts:add", "hosts.manage", "server-2", gettext_lazy("Add host"), gettext_lazy("new hypervisor"), True),
    ("cluster:my_vms", "vms.view", "stack-2", gettext_lazy("My VMs"), gettext_lazy("own machines"), False),
    ("vms:index", "vms.view", "device-desktop", gettext_lazy("Virtual machines"), gettext_lazy("vms list"), False),
    ("hosts:index", "hosts.view", "server-2", gettext_lazy("Hosts"), gettext_lazy("hypervisors"), False),
    ("storage:index", "storage.view", "database", gettext_lazy("Storage"), gettext_lazy("pools"), False),
    ("storage:images", "storage.view", "disc", gettext_lazy("Images"), gettext_lazy("iso templates"), False),
    ("hosts:networks", "hosts.view", "network", gettext_lazy("Networks"), gettext_lazy("bridges"), False),
    ("selfservice:offers", "selfservice.ask", "package", gettext_lazy("Offers"), gettext_lazy("ask for a vm"), False),
    ("selfservice:requests", "selfservice.view", "inbox", gettext_lazy("Requests"), gettext_lazy("leases"), False),
    ("selfservice:inbox", "selfservice.decide", "inbox", gettext_lazy("To decide"), gettext_lazy("approve"), False),
    ("jobs:index", "jobs.view", "list-check", gettext_lazy("Jobs"), gettext_lazy("audit log history"), False),
    ("access:people", "access.view", "users", gettext_lazy("People"), gettext_lazy("users accounts roles"), False),
    ("access:groups", "groups.view", "users-group", gettext_lazy("Groups"), gettext_lazy("courses projects"), False),
    ("access:grants", "access.view", "key", gettext_lazy("Grants"), gettext_lazy("rights permissions"), False),
    ("access:add_person", "access.manage", "user-plus", gettext_lazy("Add person"), gettext_lazy("new user"), True),
    ("access:profile", "vms.view", "key", gettext_lazy("API tokens"), gettext_lazy("profile account"), False),
    ("access:password", "vms.view", "lock", gettext_lazy("Change password"), gettext_lazy("profile"), False),
]


def actions(user: Person, words: str) -> Iterator[Hit]:
    wanted = words.lower().split()
    for name, permission, icon, label, other, is_dialog in ACTIONS:
        url = address(name, user, permission)
        if url and all(word in f"{label} {other}".lower() for word in wanted):
            yield Hit(icon, str(label), "", url, is_dialog)


def vms(user: Person, words: str) -> Iterator[Hit]:
    match = Q(name__icontains=words) | Q(address__icontains=words)
    try:
        match |= Q(uuid=UUID(words))
    except ValueError:
        pass
    rows = visible(user, Vm.objects.filter(match)).select_related("host").order_by("name")
    sees_hosts = can(user, "hosts.view")
    for vm in rows.only(
        "name", "uuid", "address", "observed_state", "missing_since", "host__name", "host__observed_state"
    )[:EACH]:
        where = vm.host.name if vm.host and sees_hosts else ""
        note = " · ".join(part for part in (vm.get_state_display(), where, vm.address) if part)
        yield Hit("device-desktop", vm.name, note, vm.get_absolute_url())


def hosts(user: Person, words: str) -> Iterator[Hit]:
    match = Q(name__icontains=words) | Q(address__icontains=words) | Q(hostname__icontains=words)
    for host in Host.objects.filter(match).only("name", "address", "observed_state")[:EACH]:
        note = f"{host.get_state_display()} · {host.address or _('this machine')}"
        yield Hit("server-2", host.name, note, host.get_absolute_url())


def pools(user: Person, words: str) -> Iterator[Hit]:
    match = Q(name__icontains=words) | Q(target_path__icontains=words)
    for pool in visible(user, Pool.objects.filter(match))[:EACH]:
        yield Hit("database", pool.name, pool.get_kind_display(), pool.get_absolute_url())


def images(user: Person, words: str) -> Iterator[Hit]:
    match = Q(name__icontains=words) | Q(os_name__icontains=words) | Q(volume_name__icontains=words)
    for image in visible(user, Image.objects.filter(match))[:EACH]:
        yield Hit("disc", str(image), text.size(image.size_bytes), image.get_absolute_url())


def networks(user: Person, words: str) -> Iterator[Hit]:
    for network in Network.objects.filter(name__icontains=words)[:EACH]:
        yield Hit("network", network.name, network.get_mode_display(), network.get_absolute_url())


def jobs(user: Person, words: str) -> Iterator[Hit]:
    match = Q(pk=int(words)) if words.isdecimal() and len(words) < 12 else says(user, words)
    rows = visible(user, Job.objects.filter(match)).only("title", "state", "created_at").order_by("-id")
    found = list(rows[:EACH])
    tidy(user, found)
    for job in found:
        note = f"{job.get_state_display()} · {text.ago(job.created_at)}"
        yield Hit("list-check", job.title, note, job.get_absolute_url())


def people(user: Person, words: str) -> Iterator[Hit]:
    match = Q(username__icontains=words) | Q(first_name__icontains=words) | Q(last_name__icontains=words)
    for person in visible(user, User.objects.filter(match))[:EACH]:
        if can(user, "access.view"):
            yield Hit("user", person.username, person.get_role_display(), person.get_absolute_url())
        else:
            url = f"{reverse('jobs:index')}?user={person.username}"
            yield Hit("user", person.username, f"{person.get_role_display()} · {_('their jobs')}", url)


def groups(user: Person, words: str) -> Iterator[Hit]:
    for group in visible(user, PeopleGroup.objects.filter(name__icontains=words))[:EACH]:
        yield Hit("users-group", group.name, group.description[:60], group.get_absolute_url())


def classes(user: Person, words: str) -> Iterator[Hit]:
    for one in visible(user, LabClass.objects.filter(name__icontains=words)).select_related("group")[:EACH]:
        note = f"{one.group} · {_('over')}" if one.ended_at else str(one.group)
        yield Hit("school", one.name, note, one.get_absolute_url())


def offers(user: Person, words: str) -> Iterator[Hit]:
    """What one may ask for; its page is the form."""
    if not is_somebody(user):
        return
    rows = available.offered(user).filter(name__icontains=words).only("name", "summary")
    for offer in rows[:EACH]:
        yield Hit("package", offer.name, offer.summary, reverse("selfservice:ask", args=[offer.pk]))


KINDS: list[tuple[Promise, str, Any]] = [
    (gettext_lazy("Virtual machines"), "vms.view", vms),
    (gettext_lazy("Hosts"), "hosts.view", hosts),
    (gettext_lazy("Pools"), "storage.view", pools),
    (gettext_lazy("Images"), "storage.view", images),
    (gettext_lazy("Networks"), "hosts.view", networks),
    (gettext_lazy("People"), "people.view", people),
    (gettext_lazy("Groups"), "groups.view", groups),
    (gettext_lazy("Classes"), "classes.view", classes),
    (gettext_lazy("Offers"), "selfservice.ask", offers),
    (gettext_lazy("Jobs"), "jobs.view", jobs),
]


def find(user: Person, words: str) -> list[Group]:
    """Groups of hits; without words only what can be done."""
    words = " ".join(words.split())[:LONGEST].replace("\0", "")
    groups = [Group(_("Actions"), list(actions(user, words)))]
    if words:
        groups += [Group(str(title), list(kind(user, words))) for title, may, kind in KINDS if can(user, may)]
    return [group for group in groups if group.hits]
