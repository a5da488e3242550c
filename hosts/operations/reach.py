"""Whether one host can move VMs to another: the login with its migration key, and the ports QEMU listens on."""

from django.utils.translation import gettext as _

from hosts.models import Host
from hosts.states import Transport
from virt import ssh
from virt.errors import VirtError
from virt.ssh import CommandFailed
from virt.target import MIGRATION_KEY

FIRST_PORT = 49152  # QEMU's default for incoming migrations (libvirt's qemu.conf, migration_port_min)
# Nobody listens there before a migration begins: "refused" is the good answer, silence or "no route" is a firewall.
PORT_SCRIPT = 'exec 3<>"/dev/tcp/$1/$2"'
# ssh on the host ends with 255 as our own ssh to it would: another number tells the two apart.
NOT_255 = '"$@" || exit 1'


def takes_part(host: Host) -> bool:
    """Whether VMs can move to it and from it at all. This machine takes part once it has an address for the others."""
    return host.has_ssh and (host.transport != Transport.LOCAL or bool(host.address))


def login_command(destination: Host, *command: str) -> list[str]:
    """The ssh call a source's libvirt makes towards another host: same key, same known hosts, never a question."""
    argv = ["ssh", "-i", MIGRATION_KEY, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    argv += ["-o", "ConnectTimeout=8", "-o", "ControlPath=none", "-p", str(destination.port or 22)]
    return [*argv, "-l", destination.username, "--", destination.address, *command]


def why_not(source: Host, destination: Host) -> str:
    """Why VMs can't move from one host to the other, in plain words; "" if they can. Blocks up to some 20 s."""
    if not source.has_ssh or not destination.has_ssh:
        return ""
    for host in (destination, source):
        if not takes_part(host):
            return _("%(host)s has no address that other hosts can use; enter one.") % {"host": host}
    try:
        ssh.run(source.target, ["sh", "-c", NOT_255, "drover", *login_command(destination, "true")], timeout_s=20)
    except CommandFailed as error:
        return _login_failed(source, destination, error.technical.lower())
    except VirtError as error:
        return f"{source} → {destination}: {error.message}"
    return _port_is_closed(source, destination)


def _login_failed(source: Host, destination: Host, said: str) -> str:
    names = {"source": source, "destination": destination}
    if "host key verification failed" in said:
        return _("%(source)s does not know the SSH key of %(destination)s.") % names
    if "permission denied" in said:
        return _("%(destination)s does not let %(source)s in: its migration key is not installed there.") % names
    return _("%(source)s can't reach %(destination)s by SSH.") % names


def _port_is_closed(source: Host, destination: Host) -> str:
    address = destination.migration_address or destination.address
    argv = ["env", "LC_ALL=C", "timeout", "4", "bash", "-c", PORT_SCRIPT, "drover", address, str(FIRST_PORT)]
    try:
        ssh.run(source.target, argv, timeout_s=15)
    except CommandFailed as answer:
        if "refused" in answer.technical.lower():
            return ""
        return _("A firewall keeps %(source)s from port %(port)s of %(address)s (QEMU uses 49152 to 49215).") % {
            "source": source,
            "port": FIRST_PORT,
            "address": address,
        }
    except VirtError as error:
        return error.message
    return ""
