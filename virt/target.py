"""How a host is reached: all that libvirt and SSH need to know, without a database row."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode


@dataclass(frozen=True)
class Target:
    """transport: ssh, local, tcp, tls or test (libvirt's simulated host; `path` is then its host's XML file).

    ssh_config is the file written by `virt.ssh.write_config`; ssh_command the wrapper that makes libvirt use it.
    """

    key: str  # unique among hosts and stable: "host-3", also the ssh Host alias
    transport: str
    address: str = ""
    port: int = 0
    username: str = "root"
    path: str = ""
    ssh_dir: Path | None = None

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
