"""From which addresses something may be fetched: not from a machine's own loopback, nor from the metadata of the cloud
it runs in, whose answers a person could otherwise read as the content of an image. A private network is fine."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
# Clouds' own services at addresses that are not link-local: AWS (IPv6), Azure, Alibaba, Oracle.
METADATA = {ipaddress.ip_address(text) for text in ("fd00:ec2::254", "168.63.129.16", "100.100.100.200", "192.0.0.192")}
THIS_HOST = ipaddress.ip_network("0.0.0.0/8")
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_fetchable(address: Address) -> bool:
    """Whether something may be fetched from there. An IPv4 address within an IPv6 one counts as itself."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64 or int(address) >> 32 == 0:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_fetchable(inner)
    if address in METADATA or (address.version == 4 and address in THIS_HOST):
        return False
    special = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return not special and address != ipaddress.IPv4Address("255.255.255.255")


def literal(hostname: str) -> Address | None:
    """The address that is spelled out, also as 0x7f.1 or 2130706433; None for a name."""
    try:
        return ipaddress.ip_address(hostname.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(hostname))
        except (OSError, UnicodeEncodeError):
            return None


def host_of(url: str) -> str:
    """The host of an http(s) address, lower-case and in ASCII, as it can be looked up. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in {"http", "https"} or parts.username or parts.password:
        raise ValueError("not an http(s) address")
    name = (parts.hostname or "").rstrip(".")
    if literal(name) is not None:
        return name
    name = name.encode("idna").decode().lower()
    if not HOST_NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name
