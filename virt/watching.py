"""The connection of a process that watches a host for as long as it lives."""

from typing import Any

from virt.connection import close_quietly, open_connection
from virt.errors import translated
from virt.target import Target
from virt.xml import capabilities

Connection = Any  # libvirt.virConnect, for rooms that may hold one but not import libvirt
KEEPALIVE = (4, 2)  # a silent host is noticed after 12 s: question after 4 s, again after 8, closed at 12
KEEPALIVE_BESIDE = (15, 2)


def open_for_watching(target: Target) -> Connection:
    """A connection of its own that notices a silent host soon. Raises HostUnreachable and its kinds. Blocks."""
    return open_connection(target, keepalive=KEEPALIVE)


def open_beside(target: Target) -> Connection:
    """Another one for what is not urgent: it asks less often whether the host is there. As open_for_watching."""
    return open_connection(target, keepalive=KEEPALIVE_BESIDE)


def identify(conn: Connection) -> str:
    """The machine's UUID as libvirt says it; "" if the driver has none (simulated hosts). Raises VirtError."""
    with translated():
        return capabilities.parse(conn.getCapabilities()).host_uuid


def close(conn: Connection) -> None:
    """Close, also one that was lost."""
    close_quietly(conn)
