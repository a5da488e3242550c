"""How to log in to a VM from outside."""

import ipaddress

from vms.models import Vm

# the user that cloud images make by themselves, by the first word of the image's system or name
USERS = {
    "almalinux": "almalinux",
    "alpine": "alpine",
    "arch": "arch",
    "centos": "cloud-user",
    "debian": "debian",
    "fedora": "fedora",
    "rocky": "rocky",
    "ubuntu": "ubuntu",
}


def user_of(vm: Vm) -> str:
    """The one that its first boot made, else the usual one of its image; "" if nobody knows."""
    if chosen := vm.first_boot.get("user"):
        return str(chosen)
    if not vm.first_boot or vm.image is None:
        return ""
    words = f"{vm.image.os_name} {vm.image.name}".lower().replace("-", " ").split()
    return next((USERS[word] for word in words if word in USERS), "")


def ssh_command(vm: Vm) -> str:
    """To be copied into a terminal; "" as long as no address is known."""
    try:
        address = str(ipaddress.ip_address(vm.address))
    except ValueError:
        return ""
    user = user_of(vm)
    return f"ssh {user}@{address}" if user else f"ssh {address}"
