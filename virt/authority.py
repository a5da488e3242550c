"""The cluster's own certificate authority, for encrypted migration between hosts. Its key stays on Drover's machine."""

import ipaddress
import os
import re
import ssl
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from django.utils.translation import gettext as _

from virt.errors import VirtError

AUTHORITY_DAYS, HOST_DAYS = 3650, 1095
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
_IS_AUTHORITY = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
_TIMEOUT_S = 20


@dataclass(frozen=True)
class Authority:
    """Key and certificate in a folder of Drover's."""

    folder: Path

    @property
    def key_file(self) -> Path:
        return self.folder / "ca-key.pem"

    @property
    def certificate_file(self) -> Path:
        return self.folder / "ca-cert.pem"

    @property
    def certificate(self) -> str:
        return self.certificate_file.read_text()

    def ensure(self) -> "Authority":
        """Make key and certificate on first use. Safe if several processes come first: one pair is the pair."""
        if not self.certificate_file.exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(dir=self.folder.parent) as scratch:
                fresh = Authority(Path(scratch) / "pair")
                fresh.folder.mkdir(mode=0o700)
                words = ["req", "-x509", *_NEW_KEY, "-days", str(AUTHORITY_DAYS), "-subj", "/CN=Drover migration CA"]
                files = ["-keyout", str(fresh.key_file), "-out", str(fresh.certificate_file)]
                _openssl([*words, *_IS_AUTHORITY, *files])
                with suppress(OSError):  # another process was quicker: its pair is the pair
                    os.rename(fresh.folder, self.folder)
        return self

    def sign(self, request: str, names: list[str]) -> str:
        """The certificate for this request, valid for these names and addresses as sender and as receiver."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            wished, more = Path(scratch) / "request.pem", Path(scratch) / "more.cnf"
            wished.write_text(request)
            uses = "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n"
            more.write_text(f"subjectAltName={','.join(alternative(name) for name in names)}\n{uses}")
            words = ["x509", "-req", "-in", str(wished), "-days", str(HOST_DAYS), "-extfile", str(more)]
            serial = ["-set_serial", f"0x{int.from_bytes(os.urandom(15), 'big'):x}"]
            pair = ["-CA", str(self.certificate_file), "-CAkey", str(self.key_file)]
            return _openssl([*words, *serial, *pair])


def is_name(text: str) -> bool:
    """Whether a certificate can be made for it: an address or a name as DNS has them."""
    return _is_address(text) or bool(_NAME.fullmatch(text))


def alternative(name: str) -> str:
    """How a certificate says it: IP:10.0.0.1 or DNS:vmhost1. Raises ValueError for what is neither."""
    if not is_name(name):
        raise ValueError(f"{name!r} is neither a name nor an address")
    return f"IP:{name}" if _is_address(name) else f"DNS:{name}"


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(text))
    return False


def why_refused(ca: str, certificate: str, name: str) -> str:
    """Why somebody who trusts `ca` does not accept the certificate as that of `name`; "" if it is accepted.

    Without a name it is checked as a sender's certificate. Blocks for some milliseconds.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as trusted:
        trusted.write(ca)
        trusted.flush()
        words = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", trusted.name]
        words += ["-purpose", "sslserver" if name else "sslclient"]
        if name:
            words += ["-verify_ip" if _is_address(name) else "-verify_hostname", name]
        done = subprocess.run(words, input=certificate, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode == 0:
        return ""
    found = re.search(r"error \d+ at \d+ depth lookup: ?(.+)", done.stderr + done.stdout)
    return found.group(1).strip() if found else _("it can't be read")


@lru_cache(maxsize=2048)  # the same certificates are looked at again and again
def valid_until(certificate: str) -> datetime | None:
    """When a certificate (PEM) ends; None if it can't be read. Blocks for some milliseconds the first time."""
    words = ["openssl", "x509", "-noout", "-enddate"]
    done = subprocess.run(words, input=certificate, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    _key, _sign, date = done.stdout.strip().partition("=")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(date), UTC) if date else None


def _openssl(words: list[str]) -> str:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise VirtError(_("The certificate could not be made."), done.stderr.strip()[-4000:])
    return done.stdout
