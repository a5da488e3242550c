"""What names, addresses and paths may look like, in one place for forms, XML and commands.

Every check returns the value it was given (trimmed where said) or raises Refused, whose text is plain
English. `Refused.template` and `Refused.params` let a form translate it: gettext(err.template) % err.params.
"""

import base64
import binascii
import ipaddress
import re
from uuid import UUID

MAX_MEMORY_BYTES = 16 * 1024**4
MAX_DISK_BYTES = 1024**5
MAX_VCPUS = 1024

_VM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SNAPSHOT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,58}[A-Za-z0-9._-])?")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@:=-]{0,199}")
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,14}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_NOT_IN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_TARGET = re.compile(r"(vd|sd|hd|fd|xvd)[a-z]{1,3}")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~=_-]{0,127}")
_SERIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,35}")
_TIMEZONE = re.compile(r"[A-Za-z]+([_+-][A-Za-z0-9]+)*(/[A-Za-z0-9]+([_+-][A-Za-z0-9]+)*){0,2}")
_LOCALE = re.compile(r"[A-Za-z]{1,8}(_[A-Z]{2})?(\.[A-Za-z0-9-]{1,12})?(@[a-z]{1,12})?")
_KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
# $1$ (MD5) and plain DES are left out: they are broken, and new systems refuse them.
_CRYPT_HASH = re.compile(
    r"\$5\$(rounds=\d{4,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"
    r"|\$6\$(rounds=\d{4,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
    r"|\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"
    r"|\$(y|gy|7)\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{0,86}\$[./A-Za-z0-9]{43}"
)


class Refused(ValueError):
    """A value that cannot be used, and why."""

    def __init__(self, template: str, **params: str | int) -> None:
        super().__init__(template % params)
        self.template = template
        self.params = params


def gettext_noop(text: str) -> str:
    """Marks a text for translation; the forms translate it."""
    return text


def _one_line(value: str, max_length: int) -> str:
    if not value:
        raise Refused(gettext_noop("This must not be empty."))
    if len(value) > max_length:
        raise Refused(gettext_noop("This is longer than %(max)d characters."), max=max_length)
    if _CONTROL.search(value):
        raise Refused(gettext_noop("Line breaks and control characters are not allowed."))
    return value


def check_vm_name(value: str) -> str:
    """A name that libvirt, file systems, virsh and DNS all bear. Adopted VMs keep whatever name they have.

    virsh takes a number for a running VM's id and a UUID for a UUID, so neither may be a name.
    """
    _one_line(value, 63)
    if not _VM_NAME.fullmatch(value):
        raise Refused(
            gettext_noop("Use letters (a-z), digits, dots, hyphens and underscores; begin with a letter or digit.")
        )
    if value.isdigit():
        raise Refused(gettext_noop("A name cannot be only digits: virsh would take it for a number of its own."))
    if is_uuid(value):
        raise Refused(gettext_noop("A name cannot look like a UUID."))
    return value


def check_snapshot_name(value: str) -> str:
    """A snapshot's name, which libvirt also makes a file of and qemu-img takes for a number if it is one."""
    _one_line(value, 60)
    if not _SNAPSHOT_NAME.fullmatch(value):
        raise Refused(
            gettext_noop(
                "Use letters (a-z), digits, spaces, dots, hyphens and underscores; begin with a letter or digit."
            )
        )
    if value.isdigit():
        raise Refused(gettext_noop("A name cannot be only digits: virsh would take it for a number of its own."))
    return value


def check_pool_name(value: str) -> str:
    """A storage pool's name: as for a VM; it is also used as a folder's name."""
    return check_vm_name(value)


def check_network_name(value: str) -> str:
    """A virtual network's name: as for a VM; dnsmasq's files are called after it."""
    return check_vm_name(value)


def check_volume_name(value: str) -> str:
    """A file name inside a pool. A comma is refused because QEMU's options are split at it."""
    _one_line(value, 200)
    if not _VOLUME_NAME.fullmatch(value):
        raise Refused(
            gettext_noop("Use letters (a-z), digits and . _ - + @ : = only; begin with a letter, digit or underscore.")
        )
    return value


def check_hostname(value: str) -> str:
    """One label of a host name, without dots (RFC 1123)."""
    _one_line(value, 63)
    if not _LABEL.fullmatch(value):
        raise Refused(gettext_noop("Use letters (a-z), digits and hyphens; no hyphen at the beginning or end."))
    return value


def suggest_hostname(vm_name: str) -> str:
    """A host name like the VM's name, which may hold more than a host name can; "vm" if nothing is left of it."""
    label = re.sub(r"[^a-z0-9]+", "-", vm_name.lower())[:63].strip("-")
    return label or "vm"


def check_domain(value: str) -> str:
    """A DNS domain, one or more labels, without a dot at the end."""
    _one_line(value, 190)
    if not all(_LABEL.fullmatch(label) for label in value.split(".")):
        raise Refused(gettext_noop("This is not a domain name, for example lab.example.org."))
    return value


def check_host_address(value: str) -> str:
    """A host name or an IP address, without user, port or brackets."""
    _one_line(value, 253)
    if is_ip(value):
        return value
    if not all(_LABEL.fullmatch(label) for label in value.split(".")):
        raise Refused(gettext_noop("This is neither a host name nor an IP address."))
    if re.fullmatch(r"[0-9.]+", value):
        raise Refused(gettext_noop("This is not a complete IP address."))
    return value


def check_bridge(value: str) -> str:
    """The name of a network interface or bridge: at most 15 characters, the kernel's limit."""
    _one_line(value, 15)
    if not _INTERFACE.fullmatch(value):
        raise Refused(gettext_noop("Use letters (a-z), digits, dots, hyphens and underscores only."))
    return value


def check_path(value: str) -> str:
    """An absolute path without . or .. parts and without characters that break lists of mounts."""
    _one_line(value, 1023)
    if not value.startswith("/"):
        raise Refused(gettext_noop("A path must begin with /."))
    parts = value.split("/")
    if ".." in parts or "." in parts:
        raise Refused(gettext_noop("A path must not contain . or .. as a part."))
    if "//" in value or (len(value) > 1 and value.endswith("/")):
        raise Refused(gettext_noop("A path must not contain // or end with /."))
    return value


def check_source_dir(value: str) -> str:
    """What a server exports: an absolute path, or a Gluster volume with an optional path (vol/dir)."""
    if value.startswith("/"):
        return check_path(value)
    check_path("/" + value)
    return value


def check_title(value: str) -> str:
    """A line of free text; libvirt refuses line breaks in it."""
    return _one_line(value, 200) if value else value


def check_description(value: str) -> str:
    """Free text of several lines; a browser's line ends become plain ones."""
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    if len(value) > 8000:
        raise Refused(gettext_noop("This is longer than %(max)d characters."), max=8000)
    if _NOT_IN_TEXT.search(value):
        raise Refused(gettext_noop("Control characters are not allowed."))
    return value


def check_mac(value: str) -> str:
    """A MAC address of one interface, returned in lower case."""
    mac = value.strip().lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise Refused(gettext_noop("This is not a MAC address, for example 52:54:00:12:34:56."))
    if int(mac[:2], 16) & 1:
        raise Refused(gettext_noop("This is a multicast address; an interface needs an address of its own."))
    if mac == "00:00:00:00:00:00":
        raise Refused(gettext_noop("An interface cannot have the address of all zeros."))
    return mac


def check_disk_target(value: str) -> str:
    """The name a disk has for libvirt: vda, sdb, hdc."""
    if not _TARGET.fullmatch(value):
        raise Refused(gettext_noop("This is not a disk's name, for example vda."))
    return value


def check_serial(value: str) -> str:
    """A disk's serial number, by which the guest can find it; QEMU shows 20 characters of it on virtio."""
    if not _SERIAL.fullmatch(value):
        raise Refused(gettext_noop("Use letters (a-z), digits, dots, hyphens, plus signs and underscores only."))
    return value


def check_user_name(value: str) -> str:
    """A login name inside a Linux guest."""
    if not _USER.fullmatch(value):
        raise Refused(
            gettext_noop("Use lower case letters, digits, hyphens and underscores; begin with a letter (at most 32).")
        )
    return value


def check_package(value: str) -> str:
    """The name of a package for apt, dnf or zypper, with an optional =version."""
    if not _PACKAGE.fullmatch(value):
        raise Refused(gettext_noop("%(name)s is not a package name."), name=repr(value[:60]))
    return value


def check_ssh_key(value: str) -> str:
    """One public key as in authorized_keys, without options in front; trimmed."""
    key = value.strip()
    _one_line(key, 16384)
    if "PRIVATE KEY" in key:
        raise Refused(gettext_noop("This is a private key. Paste the public one (the file ending in .pub)."))
    parts = key.split(None, 2)
    if len(parts) < 2 or parts[0] not in _KEY_TYPES:
        raise Refused(gettext_noop("This is not an SSH public key; it begins with ssh-ed25519, ssh-rsa or ecdsa-..."))
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except binascii.Error as err:
        raise Refused(gettext_noop("This SSH key is damaged: its middle part cannot be decoded.")) from err
    name = parts[0].encode()
    if len(blob) < len(name) + 24 or blob[: 4 + len(name)] != len(name).to_bytes(4, "big") + name:
        raise Refused(gettext_noop("This SSH key is damaged or cut off."))
    return key


def check_password_hash(value: str) -> str:
    """A password as crypt(5) stores it: SHA-256 ($5$), SHA-512 ($6$), bcrypt ($2b$) or yescrypt ($y$)."""
    if not _CRYPT_HASH.fullmatch(value):
        raise Refused(
            gettext_noop("This is not a password hash that a Linux system accepts (it begins with $6$ or $y$).")
        )
    return value


def check_memory_bytes(value: int) -> int:
    """Memory of a VM: 1 MiB to 16 TiB."""
    if not 1024**2 <= value <= MAX_MEMORY_BYTES:
        raise Refused(gettext_noop("Memory must be between 1 MiB and 16 TiB."))
    return value


def check_disk_bytes(value: int) -> int:
    """Size of a disk: 1 MiB to 1 PiB."""
    if not 1024**2 <= value <= MAX_DISK_BYTES:
        raise Refused(gettext_noop("A disk must be between 1 MiB and 1 PiB."))
    return value


def check_vcpus(value: int) -> int:
    """Number of virtual CPUs; the host may allow fewer."""
    if not 1 <= value <= MAX_VCPUS:
        raise Refused(gettext_noop("The number of CPUs must be between 1 and %(max)d."), max=MAX_VCPUS)
    return value


def is_uuid(value: str) -> bool:
    """True for a UUID as libvirt reads it: 32 hexadecimal digits, hyphens ignored."""
    return re.fullmatch(r"[0-9a-fA-F]{32}", value.replace("-", "")) is not None


def check_timezone(value: str) -> str:
    """A time zone by its name in the time zone database."""
    _one_line(value, 40)
    if not _TIMEZONE.fullmatch(value):
        raise Refused(gettext_noop("This is not a time zone, for example Europe/Vienna."))
    return value


def check_locale(value: str) -> str:
    """A locale of a Linux system."""
    if not _LOCALE.fullmatch(value):
        raise Refused(gettext_noop("This is not a locale, for example de_AT.UTF-8."))
    return value


def check_uuid(value: str) -> str:
    """A UUID in its usual form, lower case."""
    if not is_uuid(value):
        raise Refused(gettext_noop("This is not a UUID."))
    return str(UUID(value.replace("-", "")))


def is_ip(value: str) -> bool:
    """True for an IPv4 or IPv6 address without a zone."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def check_ip(value: str) -> str:
    """An IPv4 or IPv6 address."""
    if not is_ip(value):
        raise Refused(gettext_noop("This is not an IP address."))
    return value
