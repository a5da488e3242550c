"""The storage host's Gluster volume, which libvirt mounts itself and knows as shared."""

from lab import hosts
from lab.config import STORAGE, VOLUME, Lab
from lab.errors import LabError
from lab.system import wait_until

# Debian's fixed user of QEMU; Ubuntu uses the same number.
QEMU_UID = "64055"
# Shorter pauses of the storage are felt as a hang, longer ones as errors.
PING_TIMEOUT_S = "30"
OPTIONS = {
    "network.ping-timeout": PING_TIMEOUT_S,
    "storage.owner-uid": QEMU_UID,
    "storage.owner-gid": QEMU_UID,
    "server.allow-insecure": "on",
    "performance.client-io-threads": "off",
}


def make_volume(lab: Lab) -> None:
    """Create and start the volume, as far as that is not done yet."""
    (host,) = lab.kind(STORAGE)

    def gluster(*words: str) -> str:
        return hosts.execute(lab, host, ["gluster", "--mode=script", *words], timeout_s=60)

    def is_ready() -> bool:
        try:
            gluster("volume", "list")
        except LabError:
            return False
        return True

    wait_until(is_ready, "glusterd answering", 40, every_s=0.3)
    if VOLUME not in gluster("volume", "list").split():
        gluster("volume", "create", VOLUME, f"{host.name}:/srv/brick/{VOLUME}", "force")
        for name, value in OPTIONS.items():
            gluster("volume", "set", VOLUME, name, value)
    if "Status: Started" not in gluster("volume", "info", VOLUME):
        gluster("volume", "start", VOLUME)
