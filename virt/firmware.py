"""A UEFI VM's variables: a small file that each host keeps for itself, beside libvirt's own files."""

from virt import ssh
from virt.target import Target
from virt.xml import summary
from virt.xml.tree import BadXml, parse_document

FOLDER = "/var/lib/libvirt/qemu/nvram/"
# $1 is the file. Its owner is QEMU's account, which owns libvirt's folder for it; libvirt makes the folder when needed.
WRITE = """
own=$(stat -c %U /var/lib/libvirt/qemu) && group=$(stat -c %G /var/lib/libvirt/qemu) || exit 1
umask 077; [ -d "${1%/*}" ] || install -d -o "$own" -g "$group" -m 755 "${1%/*}" || exit 1
trap 'rm -f "$1.new"' EXIT
base64 -d > "$1.new" && chown "$own:$group" "$1.new" && mv -f "$1.new" "$1"
"""
INODE = 'stat -c %i -- "$1" 2>/dev/null || :'


def variables_path(definition: str, name: str) -> str:
    """The file with the variables of a VM, if it is where libvirt puts it; "" for one with BIOS or a file elsewhere."""
    try:
        is_uefi = summary.parse(definition).firmware == "uefi"
        domain = parse_document(definition, "domain")
    except BadXml:
        return ""
    if not is_uefi:
        return ""
    path = (domain.findtext("os/nvram") or f"{FOLDER}{name}_VARS.fd").strip()
    return path if path.startswith(FOLDER) and "/" not in path.removeprefix(FOLDER) else ""


def inode(target: Target, path: str) -> str:
    """The file's number; "" if it is not there. The same on two hosts: they share the folder."""
    return ssh.run(target, ["sh", "-c", INODE, "drover", path]).strip()


def copy(source: Target, destination: Target, path: str) -> None:
    """Bring the file to another host, in place of what it has there. Raises HostUnreachable, CommandFailed."""
    content = ssh.run(source, ["base64", "--", path])
    ssh.run(destination, ["sh", "-c", WRITE, "drover", path], stdin=content)


def remove(target: Target, path: str) -> None:
    ssh.run(target, ["rm", "-f", "--", path])
