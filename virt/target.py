"""How a host is reached: all that libvirt and SSH need to know, without a database row."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

MIGRATION_KEY = "/root/.ssh/drover_migration"  # a host's own key, which the other hosts let in


@dataclass(frozen=True)
class HostKey:
    """A host's public key: kind ("ssh-ed25519") and base64 blob as in known_hosts."""

    kind: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """SHA256 fingerprint as ssh shows it (RFC 4253 blob, base64 without padding)."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        return f"{self.kind} {self.blob}"


@dataclass(frozen=True)
class Target:
    """transport: ssh, local, tcp, tls or test (libvirt's simulated host; `path` is then its host's XML file).

    host_keys are the pinned ones, ("ssh-ed25519", "<base64>"). ssh_config is the file that `virt.ssh.ready` writes out
    of them, ssh_wrapper the command that makes libvirt use it.
    """

    key: str  # unique among hosts and stable: "host-3", also the ssh Host alias
    transport: str
    address: str = ""
    port: int = 0
    username: str = "root"
    path: str = ""
    ssh_dir: Path | None = None
    host_keys: tuple[tuple[str, str], ...] = ()

    @property
    def uri(self) -> str:
        """libvirt's connection URI (libvirt.org/uri.html, libvirt.org/remote.html)."""
        where = f"[{self.address}]" if ":" in self.address else self.address
        port = f":{self.port}" if self.port else ""
        if self.transport == "local":
            return "qemu:///system"
        if self.transport == "test":
            return f"test://{quote(self.path or '/default')}"
        if self.transport in {"tcp", "tls"}:
            scheme = "test" if self.path else "qemu"
            return f"{scheme}+{self.transport}://{where}{port}{self.path or '/system'}"
        query = urlencode({"command": str(self.ssh_wrapper), "no_tty": 1}, quote_via=quote, safe="/")
        return f"qemu+ssh://{self.key}/system?{query}"

    @property
    def shown_uri(self) -> str:
        """The URI as a person would type it."""
        if self.transport != "ssh":
            return self.uri
        port = f":{self.port}" if self.port not in {0, 22} else ""
        return f"qemu+ssh://{self.username}@{self.address}{port}/system"

    @property
    def peer_uri(self) -> str:
        """The URI by which another host reaches this one, for a migration from host to host.

        Raises ValueError if other hosts have no way to it: no address, or libvirt's simulated host.
        """
        if not self.address or self.transport == "test":
            raise ValueError(f"{self.key} has no address for other hosts")
        if not self.has_ssh:
            return self.uri
        where = f"[{self.address}]" if ":" in self.address else self.address
        port = f":{self.port}" if self.port not in {0, 22} else ""
        query = urlencode({"keyfile": MIGRATION_KEY, "no_tty": 1}, quote_via=quote, safe="/")
        return f"qemu+ssh://{self.username}@{where}{port}/system?{query}"

    @property
    def has_ssh(self) -> bool:
        return self.transport in {"ssh", "local"}

    def _dir(self) -> Path:
        if self.ssh_dir is None:
            raise ValueError("this target has no ssh folder")
        return self.ssh_dir

    @property
    def ssh_config(self) -> Path:
        return self._dir() / "hosts" / f"{self.key}.conf"

    @property
    def ssh_wrapper(self) -> Path:
        return self._dir() / "hosts" / f"{self.key}.sh"
