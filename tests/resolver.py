"""Names of our own choice, really resolved: in a process with another /etc/hosts, a mount of its own."""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SIOCGIFADDR = 0x8915  # netdevice(7)
ENTER = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


def own_address() -> str:
    """An IPv4 address of this machine that is not its loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _index, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            address = socket.inet_ntoa(answer[20:24])
            if not address.startswith("127."):
                return address
    raise AssertionError("this machine has no address but its loopback")


def with_names(folder: Path, names: dict[str, str], code: str, *words: str) -> Any:
    """What `code` prints as JSON, run by a Python (sys.argv[1:] is `words`) in which `names` have these addresses."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in names.items()))
    begin = "import django, json, sys; django.setup()\n"
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*unshare, "sh", "-c", ENTER, "sh", str(hosts), sys.executable, "-c", begin + code, *words],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "cluster.settings", "DROVER_VAR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
