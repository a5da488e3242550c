"""What the lab is called, where its files lie and which hosts it has."""

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

CONTAINER, FULL, STORAGE = "container", "full", "storage"
VOLUME = "vmstorage"
GATEWAY_OCTET = 254
NAMESPACE = uuid.UUID("6f3c6f0e-3a0c-4b57-9d15-5f0a53e8d1c1")


@dataclass(frozen=True)
class Host:
    """One host of the lab: `kind` is container, full or storage, `octet` the last part of its address."""

    name: str
    kind: str
    octet: int


HOSTS = (
    Host("vmhost1", CONTAINER, 11),
    Host("vmhost2", CONTAINER, 12),
    Host("vmhost3", CONTAINER, 13),
    Host("vmstorage", STORAGE, 20),
    Host("full1", FULL, 31),
    Host("full2", FULL, 32),
)


@dataclass(frozen=True)
class Lab:
    """Name, subnet and folders of one lab; everything it makes on the machine carries its name."""

    name: str
    subnet: str
    var: Path
    images: Path

    @property
    def dir(self) -> Path:
        """The lab's own folder: gone after `down`, except for the images and the hosts' identities."""
        return self.var / ("lab" if self.name == "drover" else f"lab-{self.name}")

    @property
    def state_file(self) -> Path:
        return self.dir / "lab.json"

    @property
    def key(self) -> Path:
        """Private SSH key that may log in as root on every lab host."""
        return self.dir / "key"

    @property
    def switch(self) -> str:
        """Network namespace that holds the lab's switch."""
        return f"{self.name}-switch"

    @property
    def uplink(self) -> str:
        """The one interface of the lab in the machine's own network namespace."""
        return f"lab-{self.name}"

    @property
    def gateway(self) -> str:
        """The machine's own address in the lab's network."""
        return f"{self.subnet}.{GATEWAY_OCTET}"

    @property
    def hosts(self) -> tuple[Host, ...]:
        return HOSTS

    def host(self, name: str) -> Host:
        """The host of that name; LabError when there is none."""
        for host in HOSTS:
            if host.name == name:
                return host
        raise LabError(f"no host {name!r}; there are {', '.join(host.name for host in HOSTS)}")

    def kind(self, kind: str) -> tuple[Host, ...]:
        return tuple(host for host in HOSTS if host.kind == kind)

    def address(self, host: Host) -> str:
        return f"{self.subnet}.{host.octet}"

    def netns(self, host: Host) -> str:
        return f"{self.name}-{host.name}"

    def host_dir(self, host: Host) -> Path:
        return self.dir / "hosts" / host.name

    def identity_dir(self, host: Host) -> Path:
        """SSH host keys: kept over `down`, so that a lab started again is the same cluster."""
        return self.dir / "identity" / host.name

    def machine_id(self, host: Host) -> str:
        return uuid.uuid5(NAMESPACE, f"{self.name}/{host.name}").hex

    def mac(self, host: Host) -> str:
        """Fixed, so that neighbours find the host again after a power cut."""
        middle = [int(part) % 256 for part in self.subnet.split(".")[1:3]]
        return f"02:d0:{middle[0]:02x}:{middle[1]:02x}:00:{host.octet:02x}"


def from_environment() -> Lab:
    """Read LAB_NAME, LAB_SUBNET, LAB_IMAGES and DROVER_VAR; LabError if one makes no sense."""
    name = os.environ.get("LAB_NAME", "drover")
    subnet = os.environ.get("LAB_SUBNET", "10.77.0")
    if not re.fullmatch(r"[a-z][a-z0-9]{0,7}", name):
        raise LabError("LAB_NAME: a letter, then letters and digits, at most 8 characters")
    if not re.fullmatch(r"(\d{1,3})(\.\d{1,3}){2}", subnet) or max(map(int, subnet.split("."))) > 255:
        raise LabError("LAB_SUBNET: the first three numbers of a /24, for example 10.77.0")
    var = Path(os.environ.get("DROVER_VAR") or Path(__file__).resolve().parent.parent / "var").resolve()
    images = Path(os.environ.get("LAB_IMAGES") or var / "lab" / "images").resolve()
    if re.search(r"[:,\\\s]", f"{var}{images}"):
        raise LabError(f"{var}: overlay mounts cannot have ':', ',', '\\' or blanks in their path")
    return Lab(name=name, subnet=subnet, var=var, images=images)
