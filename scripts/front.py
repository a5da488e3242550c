"""The front: where it listens, its certificate, nginx's configuration."""

import ipaddress
import os
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template

TEMPLATE = Path(__file__).with_name("nginx.conf.in")
CERTIFICATE_DAYS = 825  # longer ones are refused by some browsers
EVERY = str(ipaddress.IPv4Address(0))


class BadSetting(Exception):
    """A setting that can't be used; the message says which and what to write instead."""


@dataclass(frozen=True)
class Listen:
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Listen":
        """HOST:PORT, :PORT (every address) or PORT (this machine only)."""
        host, colon, port = text.strip().rpartition(":")
        host = host.strip("[]") or (EVERY if colon else "127.0.0.1")
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise BadSetting(f"DROVER_LISTEN={text!r}: write an address and a port, such as 0.0.0.0:8443.")
        if host != "localhost" and not _is_address(host):
            raise BadSetting(f"DROVER_LISTEN={text!r}: {host} is not an IP address of this machine.")
        return cls("127.0.0.1" if host == "localhost" else host, int(port))

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it: then plain http does."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_every(self) -> bool:
        return ipaddress.ip_address(self.host).is_unspecified

    @property
    def directive(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, *, https: bool) -> str:
        host = next(iter(own_addresses()), socket.gethostname()) if self.is_every else self.host
        host = f"[{host}]" if ":" in host else host
        default = 443 if https else 80
        port = "" if self.port == default else f":{self.port}"
        return f"{'https' if https else 'http'}://{host}{port}/"

    def refuse_taken(self) -> None:
        """Say so now if another program has the port: nginx would try for seconds and then say it less clearly."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                hint = "Choose another, for example DROVER_LISTEN=127.0.0.1:8001 make up"
                raise BadSetting(f"Can't listen on {self.directive}: {error.strerror}. {hint}") from error


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Certificate:
    cert: Path
    key: Path
    is_own: bool  # given by the administrator, not made here

    @property
    def fingerprint(self) -> str:
        argv = ["openssl", "x509", "-in", str(self.cert), "-noout", "-fingerprint", "-sha256"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.partition("=")[2].strip()


def certificate(var: Path, cert: str, key: str) -> Certificate:
    """The administrator's certificate (DROVER_TLS_CERT, DROVER_TLS_KEY), else one made at the first start."""
    if cert or key:
        given = Certificate(Path(cert).absolute(), Path(key).absolute(), is_own=True)
        for name, value, path in (("CERT", cert, given.cert), ("KEY", key, given.key)):
            if not value or not os.access(path, os.R_OK):
                raise BadSetting(f"DROVER_TLS_{name}={value!r}: there is no such file, or it can't be read.")
        return given
    made = Certificate(var / "tls" / "cert.pem", var / "tls" / "key.pem", is_own=False)
    if not made.cert.exists():
        _make(made)
    return made


def _make(made: Certificate) -> None:
    made.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = socket.getfqdn()
    names = [f"DNS:{name}", f"DNS:{socket.gethostname()}", "DNS:localhost", "IP:127.0.0.1"]
    names += [f"IP:{address}" for address in own_addresses()]
    with tempfile.TemporaryDirectory(dir=made.key.parent) as scratch:
        key, cert = Path(scratch, "key.pem"), Path(scratch, "cert.pem")
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        argv += ["-days", str(CERTIFICATE_DAYS), "-subj", f"/O=Drover/CN={name[:64]}"]
        argv += [
            "-addext",
            "subjectAltName=" + ",".join(dict.fromkeys(names)),
            "-addext",
            "extendedKeyUsage=serverAuth",
        ]
        subprocess.run([*argv, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
        key.chmod(0o600)
        os.replace(key, made.key)
        os.replace(cert, made.cert)  # last: when it is there, the pair is complete


def own_addresses() -> list[str]:
    """Addresses of this machine that others may use."""
    found = []
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))  # sends nothing: asks the kernel which address it would use
            except OSError:
                continue
            found.append(probe.getsockname()[0])
    return found


def write_nginx(var: Path, listen: Listen, tls: Certificate | None) -> None:
    """Write DROVER_VAR/run/nginx.conf. Everything nginx writes lies below DROVER_VAR/run."""
    run = var / "run"
    for path in (str(var), str(tls.cert) if tls else "", str(tls.key) if tls else ""):
        if set(path) & set('"$\\;{}\n'):
            raise BadSetting(f"{path}: these characters can't be in a path that nginx uses: \" $ \\ ; {{ }}")
    (run / "nginx").mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = ""
    if tls:
        lines = f'ssl_certificate "{tls.cert}"; ssl_certificate_key "{tls.key}";'
    config = Template(TEMPLATE.read_text()).substitute(
        user="user root;" if os.geteuid() == 0 else "",
        run=run,
        static=var / "static",
        listen=listen.directive + (" ssl" if tls else ""),
        tls=lines,
    )
    (run / "nginx.conf").write_text(config)


def write_redis(var: Path) -> None:
    run = var / "run"
    lines = ["port 0", f'unixsocket "{run / "redis.sock"}"', "unixsocketperm 700", f'dir "{run}"', 'save ""']
    lines += ["appendonly no", "daemonize no", "loglevel warning", f'logfile "{run / "redis.log"}"', "databases 1"]
    (run / "redis.conf").write_text("\n".join(lines) + "\n")
