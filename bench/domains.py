"""VMs as libvirt sees them, for rows that compare Drover with commands typed by hand."""

import time
from typing import Any

import libvirt

LOOK_EVERY_S = 0.01


def wait_running(connection: Any, uuid: str, within_s: float = 60) -> float:
    """When (time.monotonic) the domain was first seen running."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if state(connection, uuid) == libvirt.VIR_DOMAIN_RUNNING:
            return time.monotonic()
        time.sleep(LOOK_EVERY_S)
    raise AssertionError(f"{uuid} does not run")


def state(connection: Any, uuid: str) -> int | None:
    """libvirt's number for the state, None if it does not hold the domain."""
    try:
        found: int = connection.lookupByUUIDString(uuid).state()[0]
    except libvirt.libvirtError:
        return None
    return found


def definition(connection: Any, uuid: str) -> str:
    return str(connection.lookupByUUIDString(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


libvirt.registerErrorHandler(lambda _context, _error: None, None)  # "no such domain" is an answer here
