"""Letting hosts log in to each other, which peer-to-peer migration needs: a key of its own for each, known by all."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from hosts.operations.base import chosen_hosts
from hosts.operations.reach import takes_part, why_not
from hosts.states import HostState, Transport
from jobs.errors import Failed, Refused
from jobs.operations import Lock, Operation, register
from jobs.run import Run
from ui import live
from virt import ssh, survey
from virt.errors import VirtError
from virt.target import MIGRATION_KEY, HostKey

# Fixed scripts; what differs comes as arguments or on standard input, never as part of them.
MAKE_KEY = """
umask 077; mkdir -p "${1%/*}"
[ -s "$1" ] || ssh-keygen -q -t ed25519 -N '' -C "$2" -f "$1" || exit 1
[ -s "$1.pub" ] || ssh-keygen -y -f "$1" > "$1.pub" || exit 1
cat "$1.pub"
"""
# Lines of ours end with two words, the machine and the marker. Standard input has the new ones: they replace what has
# the same ending; so does nothing for the ending $2. Everything else in the file stays; the file changes whole or not.
REPLACE_LINES = """
umask 077; mkdir -p "${1%/*}"; touch "$1" || exit 1
file=$(readlink -f "$1"); fresh="$file.drover.$$"; lines="$file.lines.$$"
trap 'rm -f "$fresh" "$lines"' EXIT
cat > "$lines" && cp -a "$file" "$fresh" || exit 1
awk -v gone="$2" '
  FILENAME == ARGV[1] { ours[$(NF-1) " " $NF] = 1; next }
  NF < 2 { print; next }
  { end = $(NF-1) " " $NF; if (!(end in ours) && end != gone) print }
' "$lines" "$file" > "$fresh" && cat "$lines" >> "$fresh" && mv -f "$fresh" "$file"
"""
TAKE_LINES_AWAY = f'[ -e "$1" ] || exit 0\n{REPLACE_LINES}'
AUTHORIZED, KNOWN = "/root/.ssh/authorized_keys", "/root/.ssh/known_hosts"
MARK = "drover-migration"
PARALLEL = 8


@dataclass
class Member:
    """A host that takes part, its public migration key and its host keys."""

    host: Host
    public_key: str = ""
    host_keys: tuple[HostKey, ...] = ()

    @property
    def known_name(self) -> str:
        """How known_hosts names it: plain for port 22, else [address]:port."""
        port = self.host.port or 22
        return self.host.address if port == 22 else f"[{self.host.address}]:{port}"


def mark(host: Host) -> str:
    """How lines about this machine end, in every file of ours on other hosts. Stays the same if the host is renamed."""
    return f"{host.uuid or host.name} {MARK}"


def migration_key_line(public_key: str, host: Host) -> str:
    """The line in another host's authorized_keys: only commands, no forwarding and no terminal."""
    kind, blob = public_key.split()[:2]
    return f"restrict {kind} {blob} {mark(host)}"


@register
class TrustHosts(Operation):
    """Make a migration key on each host, give its public half and all host keys to the others, and try every pair.

    params: hosts, for a circle of its own that the rest of the cluster does not let in (the lab); otherwise all.
    """

    name = "hosts.trust"
    verb = gettext_lazy("Make the hosts trust each other")
    permission = "hosts.manage"

    def locks(self) -> list[Lock]:
        return [Lock("cluster:trust")]

    def refuse(self) -> None:
        if len(self._hosts()) < 2:
            raise Refused(_("This needs two hosts that are reached by SSH."))

    def _hosts(self) -> list[Host]:
        """Everybody, if not told otherwise: a list would leave out hosts that must know a new one."""
        return [host for host in chosen_hosts(self.params.get("hosts", [])) if takes_part(host)]

    def run(self, run: Run) -> dict[str, Any]:
        """Hosts that do not answer are left out and named. Raises Failed if some pair can't migrate afterwards."""
        hosts = self._hosts()
        silent: dict[str, str] = {}
        members: list[Member] = []
        for place, host in enumerate(hosts):
            run.progress(30.0 * place / len(hosts), _("Keys of %(host)s") % {"host": host})
            run.check_cancel()
            try:
                members.append(_prepare(run, host))
            except VirtError as error:
                silent[host.name] = error.message
                run.warn(f"{host}: {error.message}")
        for place, member in enumerate(members):
            run.progress(
                30 + 30.0 * place / len(members), _("Telling %(host)s the others' keys") % {"host": member.host}
            )
            _introduce(run, member, [other for other in members if other is not member])
        run.progress(60, _("Trying every pair"))
        failed = _try_pairs(run, [member.host for member in members])
        live.publish("hosts", *(f"host.{member.host.pk}" for member in members))
        if failed or silent:
            reasons = list(dict.fromkeys([*failed, *(f"{name}: {why}" for name, why in silent.items())]))
            raise Failed(" ".join(reasons[:6]), "\n".join(reasons))
        return {"hosts": [member.host.name for member in members], "pairs": len(members) * (len(members) - 1)}


def must_be_root(host: Host) -> None:
    """Raises VirtError if we are not root there: files of the system are to be written."""
    if host.username != "root" and host.transport == Transport.SSH:
        raise VirtError(_("Migration between hosts runs as root; Drover logs in as %(who)s.") % {"who": host.username})
    if host.transport == Transport.LOCAL and os.geteuid() != 0:
        raise VirtError(_("Migration between hosts runs as root; Drover is not root on this machine."))


def _prepare(run: Run, host: Host) -> Member:
    must_be_root(host)
    run.command(f"ssh {host.username}@{host.address or host.name} ssh-keygen -t ed25519 -N '' -f {MIGRATION_KEY}")
    argv = ["sh", "-c", MAKE_KEY, "drover", MIGRATION_KEY, mark(host)]
    public_key = ssh.run(host.target, argv).strip()
    keys = tuple(host.pinned_keys) or tuple(HostKey(*key) for key in survey.machine(host.target).host_keys)
    return Member(host, public_key, keys)


def _introduce(run: Run, member: Member, others: list[Member]) -> None:
    """Write the others' keys into this host's authorized_keys and known_hosts, in place of what we wrote before."""
    host = member.host
    logins = "".join(migration_key_line(other.public_key, other.host) + "\n" for other in others)
    known = "".join(
        f"{other.known_name} {key.line} {mark(other.host)}\n"
        for other in others
        if other.host.address
        for key in other.host_keys
    )
    here = f"ssh {host.username}@{host.address or host.name}"
    for other in others:
        there = f"ssh {other.host.username}@{other.host.address or other.host.name}"
        run.command(f"{there} cat {MIGRATION_KEY}.pub | {here} 'cat >> {AUTHORIZED}'")
    run.command(f"{here} 'ssh-keyscan {' '.join(other.host.address for other in others)} >> {KNOWN}'")
    for path, lines in ((AUTHORIZED, logins), (KNOWN, known)):
        ssh.run(host.target, ["sh", "-c", REPLACE_LINES, "drover", path, ""], stdin=lines)


def _try_pairs(run: Run, hosts: list[Host]) -> list[str]:
    """Try each pair and store who trusts whom; returns what is wrong in plain words."""
    pairs = [(source, destination) for source in hosts for destination in hosts if source is not destination]
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        reasons = list(pool.map(lambda pair: why_not(*pair), pairs))
    trusted: dict[int, list[int]] = {host.pk: [] for host in hosts}
    failed = []
    for (source, destination), reason in zip(pairs, reasons, strict=True):
        if reason:
            failed.append(reason)
            run.warn(f"{source} → {destination}: {reason}")
        else:
            trusted[source.pk].append(destination.pk)
            run.log(_("%(source)s → %(destination)s: works") % {"source": source, "destination": destination})
    tried = {host.pk for host in hosts}
    for host in hosts:
        host.trusted_hosts = sorted(trusted[host.pk] + [pk for pk in host.trusted_hosts if pk not in tried])
        host.save(update_fields=["trusted_hosts"])
    return failed


def withdraw(host: Host, others: list[Host]) -> dict[str, str]:
    """Make the others forget a host's keys; returns those that did not answer, with the reason. Blocks."""
    silent: dict[str, str] = {}
    for other in others:
        if not other.has_ssh:
            continue
        if other.observed_state == HostState.UNREACHABLE:
            silent[other.name] = _("The host does not answer.")
            continue
        try:
            for path in (AUTHORIZED, KNOWN):
                ssh.run(other.target, ["sh", "-c", TAKE_LINES_AWAY, "drover", path, mark(host)])
        except VirtError as error:
            silent[other.name] = error.message
    return silent
