"""lab.json: what the lab tells the rest of the world about itself."""

import json
import os
import threading
from contextlib import suppress
from typing import Any

from lab.config import VOLUME, Host, Lab
from lab.system import write

# Between the threads of one command; between commands there is cluster.only_one.
CHANGING = threading.RLock()


def read(lab: Lab) -> dict[str, Any]:
    """The lab as it was written last; an empty one when there is none."""
    try:
        return dict(json.loads(lab.state_file.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def update(lab: Lab, **fields: Any) -> dict[str, Any]:
    """Change these fields; readers see the old file or the new one, never half of it."""
    with CHANGING:
        content = {**_basics(lab), **read(lab), **fields}
        fresh = lab.state_file.with_suffix(".new")
        write(fresh, json.dumps(content, indent=2) + "\n", 0o600)
        os.replace(fresh, lab.state_file)
        return content


def update_host(lab: Lab, host: Host, **fields: Any) -> None:
    """Change these fields of one host."""
    with CHANGING:
        hosts = dict(read(lab).get("hosts", {}))
        hosts[host.name] = {**hosts.get(host.name, {}), **fields}
        update(lab, hosts=hosts)


def update_image(lab: Lab, name: str, path: str) -> None:
    """Note where a guest image is."""
    with CHANGING:
        update(lab, images={**read(lab).get("images", {}), name: path})


def about(lab: Lab, host: Host) -> dict[str, Any]:
    """What is written about one host; empty when nothing is."""
    return dict(read(lab).get("hosts", {}).get(host.name, {}))


def forget(lab: Lab) -> None:
    with suppress(FileNotFoundError):
        lab.state_file.unlink()


def _basics(lab: Lab) -> dict[str, Any]:
    return {
        "name": lab.name,
        "subnet": f"{lab.subnet}.0/24",
        "gateway": lab.gateway,
        "key": str(lab.key),
        "gluster": {"server": "vmstorage", "address": f"{lab.subnet}.20", "volume": VOLUME},
        "nfs": {"server": "full1", "address": f"{lab.subnet}.31", "path": "/srv/nfs"},
        "images": {},
        "hosts": {},
    }
