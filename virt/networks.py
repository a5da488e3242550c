"""Changing virtual networks on a host; reading them is virt.inventory.networks. All take an open connection."""

from dataclasses import replace

import libvirt

from virt.errors import AlreadyExists, NotFound, VirtError, translated
from virt.xml import network as network_xml
from virt.xml.network import NetworkSpec


def find(conn: "libvirt.virConnect", name: str) -> "libvirt.virNetwork | None":
    try:
        with translated():
            return conn.networkLookupByName(name)
    except NotFound:
        return None


def define(conn: "libvirt.virConnect", spec: NetworkSpec) -> bool:
    """Define the network, if it is not there just so. Returns whether it was made now.

    Raises AlreadyExists with what is different in `technical` if another one of this name is there; VirtError.
    """
    existing = find(conn, spec.name)
    if existing is not None:
        with translated():
            found = network_xml.parse(existing.XMLDesc(0))
        different = network_xml.difference(found, spec)
        if different:
            text = "; ".join(
                f"{field}: {there or '-'} ≠ {wanted or '-'}" for field, (there, wanted) in different.items()
            )
            raise AlreadyExists("", text)
        return False
    with translated():
        conn.networkDefineXML(network_xml.build(spec))
    return True


def without_uuid(xml: str) -> NetworkSpec:
    """What a host's network is, to be defined on another host; a bridge name that libvirt chose is left to it."""
    spec = network_xml.parse(xml)
    chosen = spec.mode != "bridge" and spec.bridge_name.startswith("virbr") and spec.bridge_name[5:].isdigit()
    return replace(spec, uuid="", bridge_name="" if chosen else spec.bridge_name)


def start(conn: "libvirt.virConnect", name: str) -> None:
    """Start it if it does not run. Raises NotFound, VirtError."""
    with translated():
        network = conn.networkLookupByName(name)
        if not network.isActive():
            network.create()


def stop(conn: "libvirt.virConnect", name: str) -> None:
    """Stop it if it runs: VMs on it lose their connection. Raises NotFound, VirtError."""
    with translated():
        network = conn.networkLookupByName(name)
        if network.isActive():
            network.destroy()


def set_autostart(conn: "libvirt.virConnect", name: str, *, enabled: bool) -> None:
    """Raises NotFound, VirtError."""
    with translated():
        conn.networkLookupByName(name).setAutostart(int(enabled))


def remove(conn: "libvirt.virConnect", name: str) -> bool:
    """Stop and undefine it. Returns False if it was not there. Raises VirtError."""
    network = find(conn, name)
    if network is None:
        return False
    with translated():
        if network.isActive():
            network.destroy()
        if network.isPersistent():
            network.undefine()
    return True


def undo_define(conn: "libvirt.virConnect", name: str) -> None:
    """Take away what was just defined, after its start failed; a host that does not answer any more keeps it."""
    try:
        remove(conn, name)
    except VirtError:
        return
