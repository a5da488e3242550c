"""Settings from the environment. A value that does not parse stops the start with a clear message."""

import hashlib
import os
from email.utils import formataddr, parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def env_str(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def env_bool(name: str, *, default: bool) -> bool:
    raw = os.environ.get(name)
    if raw is None:
        return default
    if raw.lower() in TRUE:
        return True
    if raw.lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name}={raw!r}: write 1 or 0.")


def env_int(name: str, default: int) -> int:
    raw = os.environ.get(name)
    if raw is None or raw == "":
        return default
    try:
        return int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r}: write a whole number.") from None


def env_numbers(name: str, default: str) -> list[float]:
    """NAME=7,1.5: figures from 0 on, with commas between."""
    raw = os.environ.get(name) or default
    try:
        found = [float(part) for part in raw.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= one < 100_000 for one in found):  # neither negative, nan nor endless
        raise ImproperlyConfigured(f"{name}={raw!r}: write figures such as {default}.")
    return found


def env_number(name: str, default: float) -> float:
    found = env_numbers(name, f"{default:g}")
    if len(found) > 1:
        raise ImproperlyConfigured(f"{name}={os.environ[name]!r}: write one figure.")
    return found[0]


def env_pairs(name: str) -> list[tuple[str, str]]:
    """NAME=one=that;other=that: what is ours, and what it is called elsewhere (which may hold commas and =)."""
    pairs = []
    for part in os.environ.get(name, "").split(";"):
        ours, equals, theirs = part.partition("=")
        if part.strip() and not (equals and ours.strip() and theirs.strip()):
            raise ImproperlyConfigured(f"{name}: {part!r}: write ours=theirs, with ; between several.")
        if part.strip():
            pairs.append((ours.strip(), theirs.strip()))
    return pairs


def env_smtp(name: str) -> SplitResult:
    """smtp://user:password@host:587?starttls, or smtps://…, in parts that may be percent-encoded. Empty: none.

    The value is never in the message: it may hold a password.
    """
    raw = os.environ.get(name, "").strip()
    wrong = ImproperlyConfigured(
        f"{name}: write smtp://user:password@host:port?starttls, or smtps://user:password@host."
    )
    try:
        found = urlsplit(raw)
        well = found.scheme in {"smtp", "smtps"} and found.hostname and (found.port is None or found.port > 0)
    except ValueError:
        raise wrong from None
    starttls = found.scheme == "smtp" and found.query == "starttls"
    if raw and not (well and (starttls or not found.query) and found.path in {"", "/"} and not found.fragment):
        raise wrong
    return found


def env_url(name: str, default: str = "") -> str:
    """The address of a site, https://name[:port], without a slash at the end."""
    value = os.environ.get(name, "").strip().rstrip("/") or default.rstrip("/")
    found = urlsplit(value)
    if value and (found.scheme not in {"http", "https"} or not found.netloc or value.count("/") > 2):
        raise ImproperlyConfigured(f"{name}={value!r}: write https://drover.example.")
    return value


def env_sender(name: str) -> str:
    """Whom mails come from: drover@example.org, or Drover <drover@example.org>."""
    value = os.environ.get(name, "").strip()
    shown, address = parseaddr(value)
    if value and not (address.count("@") == 1 and address.isascii() and value.isprintable() and " " not in address):
        raise ImproperlyConfigured(f"{name}={value!r}: write Drover <drover@example.org>.")
    return formataddr((shown, address)) if value else ""


def oidc_apps(url: str, name: str, client_id: str, secret: str) -> list[dict[str, Any]]:
    """The provider as allauth takes it; none without an address. A person is theirs by its address and the subject."""
    if not url:
        return []
    digest = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    facts = {"provider_id": f"oidc-{digest}", "name": name, "client_id": client_id, "secret": secret}
    return [{**facts, "settings": {"server_url": url.rstrip("/")}}]


def env_secret(name: str, file: Path) -> str:
    """The value of NAME, else the content of `file`, which is made once with 50 random characters, mode 0600."""
    if os.environ.get(name):
        return os.environ[name]
    if not file.exists():
        from django.core.management.utils import get_random_secret_key

        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(get_random_secret_key())
    return file.read_text()


def load_env_file(file: Path) -> None:
    """Put the NAME=value lines of `.env` into the environment; what is set there already stays."""
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            os.environ.setdefault(name.strip(), value.strip().strip("'\""))
