"""The form of the create page: fields for people, read into a `NewVms`."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Count, Exists, OuterRef, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access import ssh_keys
from access.models import User
from access.rules import everywhere
from hosts.models import Host, Network, NetworkOnHost
from hosts.states import HostState
from storage import images
from storage.models import Image, Pool, PoolOnHost
from ui import text
from ui.forms import LongSelect, number_in
from virt import names
from virt.passwords import hash_password
from vms.checks import words
from vms.forms import SizeField, TagsField
from vms.models import Vm
from vms.spec import MAX_COUNT, FirstBoot, NewVms, NicWish, problems

NICS = 4
GIB = 1024**3
LATEST = "latest:"
Choices = list[tuple[str, Any]]


def image_choices() -> Choices:
    """Families with "latest" first, then each version; a blank disk at the end."""
    families: dict[str, list[Image]] = {}
    rows = images.ready(is_iso=False).select_related(None).only("name", "version")
    for image in rows.order_by("name", "-created_at", "-pk"):
        families.setdefault(image.name, []).append(image)
    choices: Choices = []
    for name, versions in families.items():
        latest = (
            f"{LATEST}{name}",
            _("%(name)s: latest (%(version)s)") % {"name": name, "version": versions[0].version},
        )
        choices.append((name, [latest, *((str(image.pk), str(image)) for image in versions)]))
    return [*choices, ("", _("Blank disk"))]


def iso_choices() -> Choices:
    rows = images.ready(is_iso=True).select_related(None).only("name", "version")
    return [(str(iso.pk), str(iso)) for iso in rows]


def source_choices() -> Choices:
    """Networks and bridges of the cluster, those that work somewhere first."""
    here = Q(presences__is_active=True, presences__missing_since=None)
    rows = Network.objects.annotate(hosts=Count("presences", filter=here)).order_by("-hosts", "name")
    networks = [(f"network:{row.name}", row.name if row.hosts else _inactive(row.name)) for row in rows]
    known = Host.objects.filter(is_managed=True).order_by().values_list("bridges", flat=True).distinct()
    bridges = [(f"bridge:{name}", name) for name in sorted({name for row in known for name in row})]
    return [("", _("none")), (_("Networks"), networks), (_("Bridges of the hosts"), bridges)]


def _inactive(name: str) -> str:
    return _("%(name)s (not active anywhere)") % {"name": name}


def usual_source(choices: Choices) -> str:
    """What the first interface is connected to if nobody chooses: a network that works, else a bridge."""
    active = NetworkOnHost.objects.filter(is_active=True, missing_since=None)
    working = {f"network:{name}" for name in active.order_by().values_list("network__name", flat=True).distinct()}
    offered = [value for value, _label in choices[1][1] if value in working] + [
        value for value, _label in choices[2][1]
    ]
    return offered[0] if offered else ""


class NicForm(forms.Form):
    """One interface; without a source it is left out."""

    source = forms.ChoiceField(label=gettext_lazy("Network"), required=False, widget=LongSelect)
    address = forms.CharField(
        label=gettext_lazy("Address"),
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("DHCP, or 10.0.0.5/24")}),
    )
    gateway = forms.CharField(label=gettext_lazy("Gateway"), required=False, max_length=50)
    dns = forms.CharField(label=gettext_lazy("Name servers"), required=False, max_length=200)
    mac = forms.CharField(
        label=gettext_lazy("MAC address"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("random")}),
    )

    def __init__(self, *args: Any, choices: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = choices  # type: ignore[attr-defined]

    def wish(self) -> NicWish:
        data = self.cleaned_data
        kind, _colon, name = data.get("source", "").partition(":")
        return NicWish(
            network=name if kind == "network" else "",
            bridge=name if kind == "bridge" else "",
            mac=data.get("mac", ""),
            address=data.get("address", ""),
            gateway=data.get("gateway", ""),
            dns=data.get("dns", "").replace(",", " ").split(),
        )


class CreateForm(forms.Form):
    """What, where, hardware, network, first boot. Interfaces are the `NicForm`s in `nics`."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=300)
    count = forms.IntegerField(
        label=gettext_lazy("How many"),
        min_value=1,
        max_value=MAX_COUNT,
        initial=1,
        help_text=gettext_lazy("Several are called name-01, name-02…"),
    )
    title = forms.CharField(label=gettext_lazy("Title"), required=False, max_length=300)
    description = forms.CharField(
        label=gettext_lazy("Description"), required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    tags = TagsField(
        label=gettext_lazy("Tags"), required=False, help_text=gettext_lazy("With commas between them."), max_length=1000
    )
    owner = forms.ModelChoiceField(
        label=gettext_lazy("Owner"),
        queryset=User.objects.filter(is_active=True).order_by("username"),
        required=False,
        empty_label=gettext_lazy("me"),
        widget=LongSelect,
    )
    image = forms.ChoiceField(label=gettext_lazy("Image"), required=False, widget=LongSelect)
    iso = forms.ChoiceField(
        label=gettext_lazy("ISO in the drive"),
        required=False,
        help_text=gettext_lazy("To install a blank disk from."),
        widget=LongSelect,
    )
    pool = forms.ChoiceField(label=gettext_lazy("Pool for the disk"), widget=LongSelect)
    disk_bytes = SizeField(
        label=gettext_lazy("Disk"), required=False, help_text=gettext_lazy("Empty: as large as the image.")
    )
    host = forms.ChoiceField(label=gettext_lazy("Host"), required=False, widget=LongSelect)
    vcpus = forms.IntegerField(label=gettext_lazy("vCPUs"), min_value=1, max_value=names.MAX_VCPUS, initial=1)
    max_vcpus = forms.IntegerField(
        label=gettext_lazy("Most vCPUs"),
        min_value=1,
        max_value=names.MAX_VCPUS,
        required=False,
        help_text=gettext_lazy("It can grow to this while it runs."),
    )
    memory_bytes = SizeField(label=gettext_lazy("Memory"), initial=2 * GIB)
    firmware = forms.ChoiceField(
        label=gettext_lazy("Firmware"), choices=[("bios", "BIOS"), ("uefi", "UEFI")], initial="bios", required=False
    )
    cpu = forms.ChoiceField(
        label=gettext_lazy("CPU"),
        required=False,
        initial="common",
        choices=[
            ("common", gettext_lazy("common to all hosts (can move everywhere)")),
            ("host-model", gettext_lazy("like its host's (moves to similar hosts)")),
            ("host-passthrough", gettext_lazy("its host's own (moves to equal hosts only)")),
            ("maximum", gettext_lazy("all that emulation can do")),
        ],
    )
    start = forms.BooleanField(label=gettext_lazy("Start it when it is made"), required=False, initial=True)
    autostart = forms.BooleanField(label=gettext_lazy("Start it with its host"), required=False)

    first_boot = forms.BooleanField(label=gettext_lazy("Set it up with cloud-init"), required=False, initial=True)
    user = forms.CharField(
        label=gettext_lazy("User"),
        required=False,
        max_length=100,
        help_text=gettext_lazy("May use sudo. Empty: the image's own user."),
    )
    ssh_keys = forms.CharField(
        label=gettext_lazy("SSH public keys"),
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "placeholder": "ssh-ed25519 AAAA… me@laptop"}),
        help_text=gettext_lazy("One a line."),
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        required=False,
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("For the console. Only its hash is used, and kept nowhere."),
    )
    allow_password_ssh = forms.BooleanField(label=gettext_lazy("Also for SSH"), required=False)
    hostname = forms.CharField(
        label=gettext_lazy("Host name"), required=False, max_length=300, help_text=gettext_lazy("Empty: from its name.")
    )
    domain = forms.CharField(label=gettext_lazy("Domain"), required=False, max_length=300)
    packages = forms.CharField(
        label=gettext_lazy("Packages"),
        required=False,
        max_length=5000,
        help_text=gettext_lazy("Installed at the first boot; spaces between them."),
    )
    user_data = forms.CharField(
        label=gettext_lazy("Own user-data"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "placeholder": "#cloud-config"}),
        help_text=gettext_lazy("#cloud-config is merged with the fields above; a script (#!) runs as well."),
    )

    def __init__(self, data: Any = None, *, user: User, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        self.password_hash = ""
        choices: dict[str, Choices] = {
            "image": image_choices(),
            "iso": [("", _("none")), *iso_choices()],
            "pool": [(str(pool.pk), pool.name) for pool in usable_pools()],
            "host": [("", _("the best place")), *host_choices()],
        }
        for field, options in choices.items():
            self.fields[field].choices = options  # type: ignore[attr-defined]
        families = choices["image"][0][1]
        self.fields["image"].initial = families[0][0] if isinstance(families, list) else ""
        if not everywhere(user, "people.view"):
            del self.fields["owner"]
        sources = source_choices()
        first = {"source": usual_source(sources)}
        self.nics = [
            NicForm(data, prefix=f"nics-{place}", choices=sources, initial=first if place == 0 else None)
            for place in range(NICS)
        ]

    def clean_password(self) -> str:
        """The password itself ends here: only its hash goes on."""
        password = self.cleaned_data.get("password") or ""
        if password:
            try:
                self.password_hash = hash_password(password)
            except names.Refused as refused:
                raise ValidationError(words(refused)) from refused
        return ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for nic in self.nics:
            nic.full_clean()
        for field, message in problems(self.wish()).items():
            self._tell(field, message)
        if any(nic.errors for nic in self.nics):
            self.add_error(None, _("Something is wrong with an interface."))
        return cleaned

    def _tell(self, field: str, message: str) -> None:
        """Beside its field; not again where the field itself has complained already."""
        if field.startswith("nics-"):
            place, _dash, name = field.removeprefix("nics-").partition("-")
            nic = self._used()[int(place)]
            nic.add_error(name, message)
        elif field in self.fields:
            if field not in self.errors:
                self.add_error(field, message)
        else:
            self.add_error(None, message)

    def _used(self) -> list[NicForm]:
        return [nic for nic in self.nics if nic.is_bound and getattr(nic, "cleaned_data", {}).get("source")]

    def wish(self) -> NewVms:
        """What is asked for, as far as the fields can be read."""
        data = self.cleaned_data
        image = data.get("image", "")
        owner = data.get("owner")
        return NewVms(
            name=data.get("name", ""),
            count=data.get("count") or 1,
            title=data.get("title", ""),
            description=data.get("description", ""),
            owner=None if owner is None else owner.pk,
            tags=data.get("tags") or [],
            image=image.removeprefix(LATEST) if image.startswith(LATEST) else _pk(image),
            iso=_pk(data.get("iso")),
            pool=_pk(data.get("pool")),
            disk_bytes=data.get("disk_bytes") or 0,
            host=_pk(data.get("host")),
            vcpus=data.get("vcpus") or 1,
            max_vcpus=data.get("max_vcpus"),
            memory_bytes=data.get("memory_bytes") or 0,
            nics=[nic.wish() for nic in self._used()],
            firmware=data.get("firmware") or "bios",
            cpu=data.get("cpu") or "common",
            start=bool(data.get("start")),
            autostart=bool(data.get("autostart")),
            first_boot=self._first_boot(data),
        )

    def _first_boot(self, data: dict[str, Any]) -> FirstBoot:
        return FirstBoot(
            enabled=bool(data.get("first_boot")),
            user=data.get("user", ""),
            ssh_keys=[line.strip() for line in data.get("ssh_keys", "").splitlines() if line.strip()],
            password_hash=self.password_hash,
            allow_password_ssh=bool(data.get("allow_password_ssh")),
            hostname=data.get("hostname", ""),
            domain=data.get("domain", ""),
            packages=data.get("packages", "").replace(",", " ").split(),
            user_data=data.get("user_data", ""),
        )


def _pk(value: str | None) -> int | None:
    return number_in(value or "")


def usable_pools() -> Iterator[Pool]:
    """Pools that are active somewhere; shared ones first, for their disks can move."""
    active = PoolOnHost.objects.filter(pool=OuterRef("pk"), is_active=True, missing_since=None)
    rows = Pool.objects.filter(Exists(active)).only("name", "is_shared")
    return iter(sorted(rows, key=lambda pool: (not pool.is_shared, pool.name)))


def host_choices() -> Choices:
    rows = Host.objects.filter(is_managed=True)
    columns = ("pk", "name", "observed_state", "maintenance", "memory_free_bytes")
    free, in_maintenance = _("%(host)s (%(free)s free)"), _("%(host)s (in maintenance)")
    choices: Choices = []
    for pk, name, state, maintenance, memory in rows.values_list(*columns):
        if state != HostState.UP:
            label = f"{name} ({HostState(state).label})"
        elif maintenance:
            label = in_maintenance % {"host": name}
        else:
            label = free % {"host": name, "free": text.size(memory)}
        choices.append((str(pk), label))
    return choices


def last_time(user: User) -> dict[str, Any]:
    """What this person entered for the first boot of the VM made last, and their keys: nobody types a key twice."""
    made = Vm.objects.filter(owner=user, is_adopted=False).exclude(first_boot={}).order_by("-created_at")
    boot = made.values_list("first_boot", flat=True).first() or {}
    keys = ssh_keys.texts(user) or boot.get("ssh_keys") or []
    return {"user": boot.get("user", ""), "ssh_keys": "\n".join(keys), "domain": boot.get("domain", "")}
