"""What a new VM is told at its first boot: a NoCloud seed for cloud-init.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

import io
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pycdlib
import yaml

from virt.names import (
    check_domain,
    check_hostname,
    check_locale,
    check_mac,
    check_package,
    check_password_hash,
    check_ssh_key,
    check_timezone,
    check_user_name,
)
from virt.passwords import hash_password
from virt.user_data import BadUserData, combine, dump_config, normalise, validate_user_data

__all__ = [
    "BadUserData",
    "SeedNic",
    "SeedSpec",
    "hash_password",
    "iso",
    "render",
    "validate_user_data",
]

LABEL = "cidata"


@dataclass(frozen=True)
class SeedNic:
    """One interface inside the guest, found by its MAC. With addresses ("10.0.0.5/24") it is static, else DHCP.

    Addresses, gateways and dns may be IPv4 and IPv6 mixed. With has_dhcp False and no address it stays down.
    """

    mac: str
    has_dhcp: bool = True
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    mtu: int | None = None


@dataclass(frozen=True)
class SeedSpec:
    """hostname is one label, domain may be empty; instance_id is the VM's UUID: a new one is a new first boot.

    user_name "" means the image's own default user gets the keys and the password. user_data is the user's own
    text; with replaces_user_data it is used alone, and nothing of the above is added to it.
    """

    hostname: str
    instance_id: str
    domain: str = ""
    user_name: str = ""
    ssh_keys: tuple[str, ...] = ()
    password_hash: str = ""
    has_sudo: bool = True
    allows_password_ssh: bool = False
    nics: tuple[SeedNic, ...] = ()
    packages: tuple[str, ...] = ()
    timezone: str = ""
    locale: str = ""
    user_data: str = ""
    replaces_user_data: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


def render(spec: SeedSpec) -> dict[str, str]:
    """The seed's files by name: meta-data, user-data, and network-config if interfaces are given.

    Raises Refused or BadUserData (both ValueError) naming what is wrong.
    """
    hostname = check_hostname(spec.hostname)
    if not spec.instance_id:
        raise ValueError("a seed needs an instance id")
    files = {
        "meta-data": _dump({"instance-id": spec.instance_id, "local-hostname": hostname}),
        "user-data": _user_data(spec),
    }
    if spec.nics:
        files["network-config"] = _dump(network_config(spec.nics))
    return files


def _dump(data: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, default_flow_style=False)


def _user_data(spec: SeedSpec) -> str:
    if not spec.replaces_user_data:
        return combine(generated_config(spec), spec.user_data)
    messages = validate_user_data(spec.user_data)
    if messages:
        raise BadUserData(messages)
    return normalise(spec.user_data) if spec.user_data.strip() else dump_config({})


def generated_config(spec: SeedSpec) -> dict[str, Any]:
    """The cloud-config that the fields of `spec` stand for."""
    config: dict[str, Any] = {"hostname": check_hostname(spec.hostname)}
    if spec.domain:
        config["fqdn"] = f"{spec.hostname}.{check_domain(spec.domain)}"
    config["manage_etc_hosts"] = True
    config |= _login(spec)
    if spec.packages:
        config["package_update"] = True
        config["packages"] = [check_package(package) for package in spec.packages]
    if spec.timezone:
        config["timezone"] = check_timezone(spec.timezone)
    if spec.locale:
        config["locale"] = check_locale(spec.locale)
    return config | dict(spec.extra)


def _login(spec: SeedSpec) -> dict[str, Any]:
    keys = [check_ssh_key(key) for key in spec.ssh_keys]
    login: dict[str, Any] = {}
    if spec.user_name:
        login["users"] = [_user(spec, keys)]
        if spec.user_name == "root":
            login["disable_root"] = False
    else:
        if keys:
            login["ssh_authorized_keys"] = keys
        if spec.password_hash:
            login["password"] = _hash_for_default_user(spec.password_hash)
            login["chpasswd"] = {"expire": False}
    login["ssh_pwauth"] = spec.allows_password_ssh
    return login


def _hash_for_default_user(password_hash: str) -> str:
    """cloud-init before 23.2 takes any other kind of hash here for the password itself."""
    if not check_password_hash(password_hash).startswith(("$5$", "$6$", "$2a$", "$2y$")):
        raise ValueError("give a user name with this kind of password hash, or use one that begins with $6$")
    return password_hash


def _user(spec: SeedSpec, keys: list[str]) -> dict[str, Any]:
    user: dict[str, Any] = {"name": check_user_name(spec.user_name), "lock_passwd": not spec.password_hash}
    if spec.password_hash:
        # unlike passwd, this is also applied to a user that the image already has
        user["hashed_passwd"] = check_password_hash(spec.password_hash)
    if spec.user_name != "root":
        user["shell"] = "/bin/bash"
        if spec.has_sudo:
            user["sudo"] = "ALL=(ALL) NOPASSWD:ALL"
    if keys:
        user["ssh_authorized_keys"] = keys
    return user


def network_config(nics: tuple[SeedNic, ...]) -> dict[str, Any]:
    """Version 2 network configuration. The interfaces are called eth0, eth1... in their order.

    set-name is there because cloud-init before 20.1 looks for an interface of the entry's own name otherwise.
    """
    if len({check_mac(nic.mac) for nic in nics}) != len(nics):
        raise ValueError("a MAC address is given twice")
    entries = {f"eth{position}": _interface(nic, f"eth{position}") for position, nic in enumerate(nics)}
    return {"version": 2, "ethernets": entries}


def _interface(nic: SeedNic, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"match": {"macaddress": check_mac(nic.mac)}, "set-name": name}
    interfaces = [_interface_address(address) for address in nic.addresses]
    entry["dhcp4"] = nic.has_dhcp and not interfaces
    if interfaces:
        entry["addresses"] = [address.with_prefixlen for address in interfaces]
    elif nic.gateways:
        raise ValueError("a gateway needs an address beside it; with DHCP the network gives one")
    if nic.gateways:
        entry["routes"] = [_default_route(gateway, interfaces) for gateway in nic.gateways]
    names: dict[str, Any] = {}
    if nic.dns:
        names["addresses"] = [str(ipaddress.ip_address(server)) for server in nic.dns]
    if nic.search:
        names["search"] = [check_domain(domain) for domain in nic.search]
    if names:
        entry["nameservers"] = names
    if nic.mtu is not None:
        if not 576 <= nic.mtu <= 65535:
            raise ValueError("the MTU must lie between 576 and 65535")
        entry["mtu"] = nic.mtu
    return entry


_Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _interface_address(text: str) -> _Interface:
    if "/" not in text:
        raise ValueError(f"{text} needs its prefix, for example {text}/24")
    address = ipaddress.ip_interface(text)
    network = address.network
    is_whole = network.prefixlen >= network.max_prefixlen - 1
    if address.version == 4 and not is_whole and address.ip in (network[0], network[-1]):
        raise ValueError(f"{text} is the network's own or its broadcast address")
    return address


def _default_route(gateway: str, interfaces: list[_Interface]) -> dict[str, Any]:
    via = ipaddress.ip_address(gateway)
    same = [address for address in interfaces if address.version == via.version]
    route: dict[str, Any] = {"to": "0.0.0.0/0" if via.version == 4 else "::/0", "via": str(via)}
    if any(via in address.network for address in same) or via.is_link_local:
        if any(via == address.ip for address in same):
            raise ValueError(f"the gateway {gateway} is the VM's own address")
        return route
    if any(address.network.prefixlen == address.network.max_prefixlen for address in same):
        return route | {"on-link": True}
    raise ValueError(f"the gateway {gateway} is not in the network of the VM's address")


def iso(files: Mapping[str, str]) -> bytes:
    """An ISO 9660 image labelled cidata with these files, their real names by Rock Ridge and Joliet."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    try:
        for position, (name, text) in enumerate(files.items()):
            content = text.encode()
            image.add_fp(io.BytesIO(content), len(content), f"/FILE{position}.;1", rr_name=name, joliet_path=f"/{name}")
        out = io.BytesIO()
        image.write_fp(out)
    finally:
        image.close()
    return out.getvalue()
