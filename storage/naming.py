"""How images and their files are called."""

import re
from urllib.parse import unquote, urlsplit

from django.utils.translation import gettext as _

from jobs.errors import Refused
from virt import addresses

ENDINGS = (".qcow2", ".img", ".raw", ".iso")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
HEX = {64: "sha256", 128: "sha512"}
MAX_URL = 2000


def check_word(value: str, field: str, max_length: int) -> str:
    """A family's or version's name: it becomes part of a file's name. Raises Refused."""
    value = value.strip()
    if not value:
        raise Refused(_("This must not be empty."), field=field)
    if len(value) > max_length:
        raise Refused(_("This is longer than %(max)d characters.") % {"max": max_length}, field=field)
    if not WORD.fullmatch(value):
        message = _("Use letters (a-z), digits, dots, hyphens and underscores; begin with a letter or digit.")
        raise Refused(message, field=field)
    return value


def check_url(value: str, field: str) -> str:
    """An http(s) address without a password in it (it would be kept and shown). Raises Refused."""
    value = value.strip()
    try:
        parts = urlsplit(value)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise Refused(_("This is not an address."), field=field) from error
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname or not port_is_fine:
        raise Refused(_("The address must begin with http:// or https://."), field=field)
    if not is_public_place(parts.hostname):
        raise Refused(_("This address is only for the host itself; nothing is fetched from there."), field=field)
    if parts.username or parts.password:
        raise Refused(_("An address with a password can't be used: it would be shown to everybody."), field=field)
    if len(value) > MAX_URL or any(not sign.isprintable() or sign.isspace() for sign in value) or not _has_host(value):
        raise Refused(_("This is not an address."), field=field)
    return value


def _has_host(url: str) -> bool:
    try:
        return bool(addresses.host_of(url))
    except (ValueError, UnicodeError):
        return False


def is_public_place(hostname: str) -> bool:
    """Whether something may be fetched from there, as far as the address alone tells; where a name leads to is seen
    when it is fetched (virt.downloads, storage.webfile)."""
    name = hostname.rstrip(".").lower()
    if name == "localhost" or name.endswith((".localhost", ".internal")):
        return False
    address = addresses.literal(name)
    return address is None or addresses.is_fetchable(address)


def check_checksum(value: str, field: str) -> str:
    """Hexadecimal sha256 or sha512 ("sha256:..."), or the address of a list of checksums; "" for none."""
    value = value.strip()
    if not value or value.lower().startswith(("http://", "https://")):
        return check_url(value, field) if value else ""
    algorithm, _colon, digits = value.lower().rpartition(":")
    expected = HEX.get(len(digits))
    if expected is None or not re.fullmatch(r"[0-9a-f]+", digits) or algorithm not in {"", expected}:
        message = _("Give a SHA-256 (64 digits) or SHA-512 (128 digits), or the address of a SHA256SUMS file.")
        raise Refused(message, field=field)
    return f"{expected}:{digits}"


def file_name_of(url: str) -> str:
    """The last part of an address's path."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def volume_name(name: str, version: str, origin: str) -> str:
    """The file an image is stored in: "debian-12-20261101.qcow2"; the ending tells what came, not what it is."""
    lower = origin.lower()
    ending = next((ending for ending in ENDINGS if lower.endswith(ending)), ".img")
    return f"{name}-{version}{ending}"


def find_checksum(text: str, file_name: str) -> str | None:
    """The checksum of a file in a list as sha256sum writes it ("HEX  name") or as BSD does ("SHA256 (name) = HEX")."""
    for line in text.splitlines():
        gnu = re.fullmatch(r"([0-9a-fA-F]{64}|[0-9a-fA-F]{128})\s+[* ]?(\S.*)", line.strip())
        bsd = re.fullmatch(r"SHA(?:256|512) \((.+)\) = ([0-9a-fA-F]+)", line.strip())
        digits, name = (gnu[1], gnu[2]) if gnu else (bsd[2], bsd[1]) if bsd else ("", "")
        if len(digits) in HEX and name.rpartition("/")[2] == file_name:
            return f"{HEX[len(digits)]}:{digits.lower()}"
    return None
