"""The lab's network: a switch in a namespace of its own, a namespace per host, one address for the machine.

Only one interface of it is seen outside: the uplink, in the machine's own namespace. A host's namespace
holds bridge br0 with the host's address, so that guests on br0 are in the lab's network too.
"""

import json
from pathlib import Path

from lab.config import FULL, Host, Lab
from lab.errors import LabError
from lab.system import run, succeeds

NETNS = Path("/run/netns")
BRIDGE = "br0"
OFFLOADS = ("tso", "gso", "gro", "sg", "tx")


def port(host: Host) -> str:
    """The switch's port for this host."""
    return f"p-{host.name}"


def exists(namespace: str) -> bool:
    return (NETNS / namespace).exists()


def namespaces(lab: Lab) -> list[str]:
    """The lab's namespaces that are there now."""
    names = (lab.switch, *(lab.netns(host) for host in lab.hosts))
    return [name for name in names if exists(name)]


def make_switch(lab: Lab) -> None:
    """Switch and uplink; LabError when something else on the machine uses the subnet."""
    if exists(lab.switch) and (Path("/sys/class/net") / lab.uplink).exists():
        return
    remove_switch(lab)
    _bury(lab)
    if route := run(["ip", "route", "show", f"{lab.subnet}.0/24"]).strip():
        raise LabError(f"{lab.subnet}.0/24 is used already ({route}): choose another with LAB_SUBNET")
    run(["ip", "netns", "add", lab.switch])
    batch(
        lab.switch,
        "link set lo up",
        "link add sw type bridge forward_delay 0 mcast_snooping 0",
        "link set sw up",
    )
    _no_packet_filter(lab.switch)
    run(["ip", "link", "add", lab.uplink, "type", "veth", "peer", "name", "uplink", "netns", lab.switch])
    batch(lab.switch, "link set uplink master sw up")
    run(["ip", "address", "add", f"{lab.gateway}/24", "dev", lab.uplink])
    run(["ip", "link", "set", lab.uplink, "up"])


def _bury(lab: Lab) -> None:
    """Remove what is left of another lab on this subnet none of whose processes lives any more."""
    for device in json.loads(run(["ip", "-json", "route", "show", f"{lab.subnet}.0/24"]) or "[]"):
        other = Lab(name=device["dev"].removeprefix("lab-"), subnet=lab.subnet, var=lab.var, images=lab.images)
        if device["dev"] != other.uplink or any(run(["ip", "netns", "pids", name]) for name in namespaces(other)):
            continue
        for name in namespaces(other):
            run(["ip", "netns", "del", name])
        remove_switch(other)


def attach(lab: Lab, host: Host) -> None:
    """A fresh namespace for the host, plugged into the switch; an old one is thrown away."""
    detach(lab, host)
    namespace = lab.netns(host)
    run(["ip", "netns", "add", namespace])
    inner = "p0" if host.kind == FULL else "eth0"
    batch(lab.switch, f"link add {port(host)} type veth peer name {inner} netns {namespace}")
    if host.kind == FULL:
        quieten(lab.switch, port(host))
        quieten(namespace, inner)
        batch(namespace, "link set lo up", f"link set {inner} up")
    else:
        _no_packet_filter(namespace)
        batch(
            namespace,
            "link set lo up",
            f"link add {BRIDGE} address {lab.mac(host)} type bridge forward_delay 0",
            f"link set {inner} master {BRIDGE} up",
            f"link set {BRIDGE} up",
            f"address add {lab.address(host)}/24 dev {BRIDGE}",
        )
    batch(lab.switch, f"link set {port(host)} master sw up")


def detach(lab: Lab, host: Host) -> None:
    """Throw the host's namespace and its cable away."""
    if has_port(lab, host):
        batch(lab.switch, f"link del {port(host)}")
    if exists(lab.netns(host)):
        run(["ip", "netns", "del", lab.netns(host)])


def remove_switch(lab: Lab) -> None:
    """Remove switch and uplink, whichever of them is left."""
    if (Path("/sys/class/net") / lab.uplink).exists():
        run(["ip", "link", "del", lab.uplink])
    if exists(lab.switch):
        run(["ip", "netns", "del", lab.switch])


def plug(lab: Lab, host: Host) -> None:
    """Put the host's cable back."""
    if has_port(lab, host):
        batch(lab.switch, f"link set {port(host)} up")


def unplug(lab: Lab, host: Host) -> None:
    """Pull the host's cable out: its card has no carrier any more."""
    if has_port(lab, host):
        batch(lab.switch, f"link set {port(host)} down")


def has_port(lab: Lab, host: Host) -> bool:
    return exists(lab.switch) and succeeds(["ip", "-n", lab.switch, "link", "show", port(host)])


def is_plugged(lab: Lab, host: Host) -> bool:
    return has_port(lab, host) and "state UP" in run(["ip", "-n", lab.switch, "link", "show", port(host)])


def quieten(namespace: str, device: str) -> None:
    """Switch off everything that hands over frames larger or less finished than the wire would carry."""
    for feature in OFFLOADS:
        succeeds(["ip", "netns", "exec", namespace, "ethtool", "-K", device, feature, "off"])


def loosen(namespace: str, device: str) -> None:
    """Undo `quieten`."""
    for feature in reversed(OFFLOADS):
        succeeds(["ip", "netns", "exec", namespace, "ethtool", "-K", device, feature, "on"])


def _no_packet_filter(namespace: str) -> None:
    """Frames inside a bridge are no business of iptables; on most kernels that is so anyway."""
    script = 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 > "$f"; done'
    run(["nsenter", f"--net={NETNS / namespace}", "sh", "-c", script])


def batch(namespace: str, *lines: str) -> None:
    """Several `ip` commands in one process."""
    run(["ip", "-n", namespace, "-batch", "-"], text="".join(f"{line}\n" for line in lines))
