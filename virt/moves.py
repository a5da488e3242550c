"""What a host has for the special ways to move a VM: certificates for TLS, and memory on demand for post-copy."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from virt import authority, ssh
from virt.target import Target

# One fixed script, sent on standard input; it only reads. QEMU's account owns libvirt's folder for it. libvirt takes
# the folder of certificates that its qemu.conf names, else libvirt-migrate if it exists, else the default.
SCRIPT = r"""
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
say() { printf '%s=%s\n' "$1" "$2"; }
setting() {
  sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*\"\{0,1\}\([^\"#]*[^\"# ]\)\"\{0,1\}.*/\1/p" \
    /etc/libvirt/qemu.conf 2>/dev/null | tail -n 1
}
may() { if [ "$owner" = root ]; then test "$@"; else runuser -u "$owner" -- test "$@"; fi; }
owner=$(stat -c %U /var/lib/libvirt/qemu 2>/dev/null || echo root)
say owner "$owner:$(stat -c %G /var/lib/libvirt/qemu 2>/dev/null || echo root)"
dir=$(setting migrate_tls_x509_cert_dir)
[ -n "$dir" ] || { [ -d /etc/pki/libvirt-migrate ] && dir=/etc/pki/libvirt-migrate; }
[ -n "$dir" ] || dir=$(setting default_tls_x509_cert_dir)
[ -n "$dir" ] || dir=/etc/pki/qemu
say directory "$dir"
verify=$(setting migrate_tls_x509_verify)
say verify "${verify:-$(setting default_tls_x509_verify)}"
for name in ca-cert server-cert client-cert; do
  may -r "$dir/$name.pem" && say "$name" "$(base64 < "$dir/$name.pem" | tr -d '\n')"
done
for name in server-key client-key; do may -r "$dir/$name.pem" && say "$name" 1; done
command -v openssl >/dev/null 2>&1 && say openssl 1
[ -r /proc/sys/vm/unprivileged_userfaultfd ] && say userfaultfd "$(cat /proc/sys/vm/unprivileged_userfaultfd)"
may -w /dev/userfaultfd && say userfaultfd_device 1
exit 0
"""
ALLOW_POST_COPY = "sysctl -w vm.unprivileged_userfaultfd=1"


@dataclass(frozen=True)
class Means:
    """Certificates as PEM, "" where QEMU can't read one. verifies: whether a sender must show a certificate too."""

    owner: str
    directory: str
    ca: str
    server: str
    client: str
    has_server_key: bool
    has_client_key: bool
    verifies: bool
    has_openssl: bool
    userfaultfd: str
    has_userfaultfd_device: bool

    @property
    def has_certificates(self) -> bool:
        return bool(self.ca and self.server and self.has_server_key)

    @property
    def valid_until(self) -> datetime | None:
        """When the first of its certificates ends, None without certificates. Blocks for some milliseconds."""
        if not self.has_certificates:
            return None
        ends = [authority.valid_until(pem) for pem in (self.ca, self.server, self.client) if pem]
        return None if None in ends else min(filter(None, ends))

    @property
    def why_no_post_copy(self) -> str:
        """Why QEMU on this host can't take a VM by post-copy, in plain words; "" if it can."""
        if self.userfaultfd == "1" or self.has_userfaultfd_device:
            return ""
        if not self.userfaultfd:
            return _("its kernel has no userfaultfd")
        return _("its kernel does not let QEMU fetch memory on demand; allow it there with “%(command)s”") % {
            "command": ALLOW_POST_COPY
        }


def look(target: Target) -> Means:
    """Ask a host that is reached by SSH. Raises HostUnreachable, CommandFailed. Blocks."""
    return parse(ssh.run(target, ["sh", "-s"], stdin=SCRIPT, timeout_s=30))


def parse(output: str) -> Means:
    """Read the script's output."""
    said = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    return Means(
        owner=said.get("owner", ""),
        directory=said.get("directory", ""),
        ca=_pem(said.get("ca-cert", "")),
        server=_pem(said.get("server-cert", "")),
        client=_pem(said.get("client-cert", "")),
        has_server_key="server-key" in said,
        has_client_key="client-key" in said,
        verifies=said.get("verify", "") != "0",
        has_openssl="openssl" in said,
        userfaultfd=said.get("userfaultfd", "").strip(),
        has_userfaultfd_device="userfaultfd_device" in said,
    )


def _pem(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


@dataclass(frozen=True)
class Encryption:
    """How TLS from one host to another would go. why_not: "" if it works. name: what the certificate is valid for."""

    why_not: str = ""
    name: str = ""


def encryption(
    source: Means, destination: Means, source_name: str, destination_name: str, names: list[str]
) -> Encryption:
    """Check certificates as QEMU on both hosts will. names: how the destination may be called, the best first."""
    for means, host in ((source, source_name), (destination, destination_name)):
        if not means.ca or (means is destination and not means.has_certificates):
            text = _("%(host)s has no certificates for migration that QEMU can read (in %(folder)s)")
            return Encryption(text % {"host": host, "folder": means.directory})
    words = {"source": source_name, "destination": destination_name}
    reason, name = _first_accepted(source.ca, destination.server, names)
    if reason:
        text = _("%(source)s does not accept the certificate of %(destination)s: %(reason)s")
        return Encryption(text % {**words, "reason": reason})
    if destination.verifies:
        has_client = source.client and source.has_client_key
        reason = authority.why_refused(destination.ca, source.client, "") if has_client else _("it has none")
        if reason:
            text = _("%(destination)s does not accept %(source)s as a sender, by its client certificate: %(reason)s")
            return Encryption(text % {**words, "reason": reason})
    return Encryption(name=name)


def _first_accepted(ca: str, certificate: str, names: Iterable[str]) -> tuple[str, str]:
    """("", the first name that the certificate is valid for), or why it is not valid for the first one."""
    first = ""
    for name in filter(None, names):
        reason = authority.why_refused(ca, certificate, name)
        if not reason:
            return "", name
        first = first or reason
    return first or _("no name to check it for"), ""


# $1 is the folder, $2 the name. A key that is there stays; the request for a certificate is the output.
REQUEST = """
(umask 022; mkdir -p "$1") && umask 077 && cd "$1" || exit 1
[ -s server-key.pem ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out server-key.pem || exit 1
openssl req -new -key server-key.pem -subj "/CN=$2"
"""
# $1 is the folder, $2 QEMU's user:group. Standard input: the host's certificate, then the authority's.
INSTALL = """
umask 077; cd "$1" && bundle=$(cat) || exit 1
trap 'rm -f .server .ca' EXIT
printf '%s\\n' "$bundle" | sed '/^-----END/q' > .server || exit 1
printf '%s\\n' "$bundle" | sed '1,/^-----END/d' > .ca || exit 1
chown "$2" .server .ca server-key.pem && chmod 440 .server .ca server-key.pem || exit 1
mv -f .ca ca-cert.pem && mv -f .server server-cert.pem || exit 1
ln -sfn server-cert.pem client-cert.pem && ln -sfn server-key.pem client-key.pem
"""


def install(target: Target, means: Means, signer: authority.Authority, names: list[str]) -> None:
    """Give a host a certificate for these names, with a key that never leaves it. Raises as ssh.run. Blocks."""
    argv = ["sh", "-c", REQUEST, "drover", means.directory, names[0]]
    certificate = signer.sign(ssh.run(target, argv), names)
    bundle = f"{certificate.strip()}\n{signer.certificate.strip()}\n"
    ssh.run(target, ["sh", "-c", INSTALL, "drover", means.directory, means.owner], stdin=bundle)
