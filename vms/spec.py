"""What a person wants when making VMs: read from a form or the API, checked as a whole. Database only."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from django.utils.translation import gettext as _

from access.models import User
from hosts.models import Host, Network
from jobs.errors import Refused
from storage import images
from storage.models import Image, Pool
from virt import names
from virt.user_data import validate_user_data
from vms.checks import clean_tags, mac_problem, name_problem, words
from vms.models import Vm

MAX_COUNT = 100
MAX_NICS = 16
FIRMWARES = ("bios", "uefi")
CPUS = ("common", "host-model", "host-passthrough", "maximum")


@dataclass
class NicWish:
    """One interface: a libvirt network or a bridge of the host; without an address it asks DHCP."""

    network: str = ""
    bridge: str = ""
    mac: str = ""
    address: str = ""  # "10.0.0.5/24"
    gateway: str = ""
    dns: list[str] = field(default_factory=list)


@dataclass
class FirstBoot:
    """What cloud-init is told. password_hash and user_data never reach a job's row or a page."""

    enabled: bool = True
    user: str = ""
    ssh_keys: list[str] = field(default_factory=list)
    password_hash: str = ""
    allow_password_ssh: bool = False
    hostname: str = ""
    domain: str = ""
    packages: list[str] = field(default_factory=list)
    user_data: str = ""


@dataclass
class NewVms:
    """count VMs alike. image: a primary key, or a family's name for its latest version; None is a blank disk."""

    name: str = ""
    count: int = 1
    title: str = ""
    description: str = ""
    owner: int | None = None
    tags: list[str] = field(default_factory=list)
    image: int | str | None = None
    iso: int | None = None
    pool: int | None = None
    disk_bytes: int = 0  # 0: as large as the image
    host: int | None = None  # None: the best place
    vcpus: int = 1
    max_vcpus: int | None = None
    memory_bytes: int = 1024**3
    nics: list[NicWish] = field(default_factory=list)
    firmware: str = "bios"
    cpu: str = "common"
    start: bool = True
    autostart: bool = False
    first_boot: FirstBoot = field(default_factory=FirstBoot)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """From plain JSON. Raises Refused for what is not known or of a wrong type."""
        known = {one.name for one in fields(cls)}
        if unknown := set(data) - known:
            raise Refused(_("Unknown setting: %(name)s.") % {"name": sorted(unknown)[0]})
        try:
            nics = [NicWish(**nic) for nic in data.get("nics") or []]
            boot = FirstBoot(**(data.get("first_boot") or {}))
        except TypeError as error:
            raise Refused(_("A setting is not known: %(error)s") % {"error": error}) from error
        return cls(**{**data, "nics": nics, "first_boot": boot})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def wanted_image(self) -> Image | None:
        if self.image is None or self.image == "":
            return None
        if isinstance(self.image, int):
            return images.ready(is_iso=False).filter(pk=self.image).first()
        return images.latest(self.image) if self.image.isprintable() else None  # databases choke on NUL and the like

    def wanted_iso(self) -> Image | None:
        return images.ready(is_iso=True).filter(pk=self.iso).first() if self.iso else None

    def wanted_pool(self) -> Pool | None:
        return Pool.objects.filter(pk=self.pool).first() if self.pool else None

    def names(self) -> list[str]:
        """The names of all VMs: the name itself, or name-01, name-02... leaving out those in use."""
        if self.count == 1:
            return [self.name]
        taken = set(Vm.objects.filter(name__startswith=f"{self.name}-").values_list("name", flat=True))
        found: list[str] = []
        number, width = 0, max(2, len(str(self.count)))
        while len(found) < self.count:
            number += 1
            name = f"{self.name}-{number:0{width}d}"
            if name not in taken:
                found.append(name)
        return found


def hostname_of(name: str) -> str:
    """A host name from a VM's name: what DNS does not bear becomes a hyphen."""
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:63].rstrip("-") or "vm"


class Problems(dict[str, str]):
    """Field -> what is wrong with it; "" is the form as a whole. The first word about a field stays."""

    def say(self, name: str, message: str | None) -> None:
        if message:
            self.setdefault(name, message)

    def ask(self, name: str, check: Callable[..., Any], value: Any) -> None:
        try:
            check(value)
        except names.Refused as refused:
            self.say(name, words(refused))
        except Refused as refused:
            self.say(name, str(refused.message))


def problems(wish: NewVms) -> Problems:
    """Everything that is wrong with it, by form field ("nics-0-address" for an interface's)."""
    found = Problems()
    _check_identity(wish, found)
    _check_disk(wish, found)
    found.ask("vcpus", names.check_vcpus, wish.vcpus)
    if wish.max_vcpus is not None:
        found.ask("max_vcpus", names.check_vcpus, wish.max_vcpus)
        if wish.max_vcpus < wish.vcpus:
            found.say("max_vcpus", _("The maximum is smaller than the figure itself."))
    found.ask("memory_bytes", names.check_memory_bytes, wish.memory_bytes)
    if wish.firmware not in FIRMWARES:
        found.say("firmware", _("Choose one of the list."))
    if wish.cpu not in CPUS:
        found.say("cpu", _("Choose one of the list."))
    _check_nics(wish, found)
    _check_first_boot(wish, found)
    return found


def _check_identity(wish: NewVms, found: Problems) -> None:
    if not 1 <= wish.count <= MAX_COUNT:
        found.say("count", _("Between 1 and %(n)s at once.") % {"n": MAX_COUNT})
        return
    if wish.count == 1:
        found.say("name", name_problem(wish.name))
    else:
        found.ask("name", names.check_vm_name, f"{wish.name}-{wish.count:02d}" if wish.name else "")
    found.ask("title", names.check_title, wish.title)
    found.ask("description", names.check_description, wish.description)
    found.ask("tags", clean_tags, wish.tags)
    if wish.owner is not None and not User.objects.filter(pk=wish.owner, is_active=True).exists():
        found.say("owner", _("This person is not known."))
    if wish.host is not None and not Host.objects.filter(pk=wish.host, is_managed=True).exists():
        found.say("host", _("This host is not known."))


def _check_disk(wish: NewVms, found: Problems) -> None:
    image = wish.wanted_image()
    if wish.image not in (None, "") and image is None:
        found.say("image", _("This image is not there (any more), or not ready."))
    if wish.iso is not None and wish.wanted_iso() is None:
        found.say("iso", _("This ISO is not there (any more)."))
    if wish.wanted_pool() is None:
        found.say("pool", _("Choose a pool for the disk."))
    if wish.disk_bytes or image is None:
        found.ask("disk_bytes", names.check_disk_bytes, wish.disk_bytes)
    if image is not None and 0 < wish.disk_bytes < image.virtual_size_bytes:
        found.say("disk_bytes", _("The disk can't be smaller than its image."))


def _check_nics(wish: NewVms, found: Problems) -> None:
    networks = set(Network.objects.values_list("name", flat=True))
    bridges = {bridge for row in Host.objects.values_list("bridges", flat=True) for bridge in row}
    macs: set[str] = set()
    if len(wish.nics) > MAX_NICS:
        found.say("nics", _("At most %(n)s interfaces.") % {"n": MAX_NICS})
    for place, nic in enumerate(wish.nics[:MAX_NICS]):
        key = f"nics-{place}-"
        if bool(nic.network) == bool(nic.bridge):
            found.say(key + "source", _("Choose a network or a bridge."))
        elif nic.network and nic.network not in networks:
            found.say(key + "source", _("No host has this network."))
        elif nic.bridge and nic.bridge not in bridges:
            found.say(key + "source", _("No host has this bridge."))
        if nic.mac:
            _check_mac(nic.mac, key + "mac", macs, wish, found)
        _check_address(nic, key, wish, found)


def _check_mac(written: str, field: str, macs: set[str], wish: NewVms, found: Problems) -> None:
    """However it is spelt: with colons or hyphens, in capitals, with spaces around it."""
    if problem := mac_problem(written):
        found.say(field, problem)
        return
    mac = names.check_mac(written)
    if mac in macs:
        found.say(field, _("Twice in this form."))
    if wish.count > 1:
        found.say(field, _("Several VMs can't have the same address: leave it empty."))
    macs.add(mac)


def _check_address(nic: NicWish, key: str, wish: NewVms, found: Problems) -> None:
    for server in nic.dns:
        found.ask(key + "dns", names.check_ip, server)
    if not nic.address:
        found.say(key + "gateway", _("With DHCP the network says this.") if nic.gateway else None)
        return
    try:
        if "/" not in nic.address or "%" in nic.address:
            raise ValueError
        interface = ipaddress.ip_interface(nic.address)
    except ValueError:
        found.say(key + "address", _("Write an address with its prefix, for example 10.0.0.5/24."))
        return
    network, first = interface.network, int(interface.ip)
    last, lowest, highest = first + wish.count - 1, int(network[0]), int(network[-1])
    if network.version == 4 and network.prefixlen < 31:  # the net itself and its broadcast are nobody's
        lowest, highest = lowest + 1, highest - 1
    if first < lowest or last > highest:
        found.say(key + "address", _("This is not the address of a machine in %(net)s.") % {"net": network})
    if nic.gateway and not names.is_ip(nic.gateway):
        found.say(key + "gateway", _("This is not an IP address."))
    elif nic.gateway and ipaddress.ip_address(nic.gateway) not in network:
        found.say(key + "gateway", _("The gateway must lie in %(net)s.") % {"net": network})
    elif nic.gateway and first <= int(ipaddress.ip_address(nic.gateway)) <= last:
        found.say(key + "gateway", _("This is the VM's own address."))


def _check_first_boot(wish: NewVms, found: Problems) -> None:
    boot = wish.first_boot
    if not boot.enabled:
        return
    if boot.user:
        found.ask("user", names.check_user_name, boot.user)
    for key in boot.ssh_keys:
        found.ask("ssh_keys", names.check_ssh_key, key)
    if boot.password_hash:
        found.ask("password", names.check_password_hash, boot.password_hash)
    if boot.hostname and wish.count == 1:
        found.ask("hostname", names.check_hostname, boot.hostname)
    if boot.domain:
        found.ask("domain", names.check_domain, boot.domain)
    for package in boot.packages:
        found.ask("packages", names.check_package, package)
    if messages := validate_user_data(boot.user_data):
        found.say("user_data", " ".join(messages))
