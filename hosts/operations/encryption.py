"""Setting up encrypted migration (TLS): a certificate authority of the cluster's own, a certificate on each host."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from hosts.operations.base import chosen_hosts
from hosts.operations.trust import must_be_root, takes_part
from hosts.sync import store_certificate
from jobs.errors import Failed, Refused
from jobs.operations import Lock, Operation, register
from jobs.run import Run
from virt import moves
from virt.authority import Authority, alternative, is_name
from virt.errors import VirtError
from virt.moves import Encryption, Means


def names_of(host: Host, address: str = "") -> list[str]:
    """How a host may be called in its certificate: the address that a migration uses first."""
    names = [address, host.migration_address, host.address, host.hostname, host.name]
    return [name for name in dict.fromkeys(names) if name and is_name(name)]


def encryption(source: Host, destination: Host, address: str = "") -> Encryption:
    """Ask both hosts whether VMs can go encrypted from one to the other. Raises VirtError. Blocks."""
    here, there = moves.look(source.target), moves.look(destination.target)
    return moves.encryption(here, there, source.name, destination.name, names_of(destination, address))


@register
class SetUpEncryption(Operation):
    """Give each host a certificate of the cluster's authority, made on first use, and check every pair.

    Run again, it renews them. A host with certificates of another authority is left as it is. params: hosts, as for
    hosts.trust; otherwise all.
    """

    name = "hosts.encryption"
    verb = gettext_lazy("Set up encrypted migration")
    permission = "hosts.manage"

    def locks(self) -> list[Lock]:
        return [Lock("cluster:encryption")]

    def refuse(self) -> None:
        if len(self._hosts()) < 2:
            raise Refused(_("This needs two hosts that are reached by SSH."))

    def _hosts(self) -> list[Host]:
        return [host for host in chosen_hosts(self.params.get("hosts", [])) if takes_part(host)]

    def run(self, run: Run) -> dict[str, Any]:
        """Hosts that do not answer are left out and named. Raises Failed if some pair can't go encrypted afterwards."""
        hosts = self._hosts()
        authority = Authority(settings.MIGRATION_CA_DIR).ensure()
        run.command(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650"
            " -subj '/CN=Drover migration CA' -keyout ca-key.pem -out ca-cert.pem"
        )
        ready: dict[Host, Means] = {}
        failed: list[str] = []
        for place, host in enumerate(hosts):
            run.progress(80.0 * place / len(hosts), _("Certificate for %(host)s") % {"host": host})
            run.check_cancel()
            try:
                ready[host] = _equip(run, host, authority)
                store_certificate(host.pk, ready[host].valid_until)
            except VirtError as error:
                failed.append(f"{host}: {error.message}")
                run.warn(failed[-1])
        run.progress(85, _("Checking every pair"))
        failed += _check_pairs(run, ready)
        if failed:
            raise Failed(" ".join(failed[:6]), "\n".join(failed))
        return {"hosts": [host.name for host in ready]}


def _equip(run: Run, host: Host, authority: Authority) -> Means:
    """Install a certificate on one host; returns what it has then. Raises VirtError."""
    must_be_root(host)
    means = moves.look(host.target)
    if means.ca and means.ca.strip() != authority.certificate.strip():
        run.warn(
            _("%(host)s has certificates of another authority in %(folder)s; they stay as they are.")
            % {"host": host, "folder": means.directory}
        )
        return means
    if not means.has_openssl:
        raise VirtError(_("openssl is not installed there."))
    names = names_of(host)
    _tell(run, host, means, names)
    moves.install(host.target, means, authority, names)
    run.log(_("%(host)s has a certificate for %(names)s.") % {"host": host, "names": ", ".join(names)})
    return moves.look(host.target)


def _tell(run: Run, host: Host, means: Means, names: list[str]) -> None:
    """The same by hand (law 7)."""
    login, folder, file = f"{host.username}@{host.address or host.name}", means.directory, f"{host.name}.pem"
    for_names = ",".join(alternative(name) for name in names)
    run.command(
        f"ssh {login} 'cd {folder} && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
        f" -out server-key.pem && openssl req -new -key server-key.pem -subj /CN={names[0]}' > {host.name}.csr"
    )
    run.command(
        f"printf 'subjectAltName={for_names}\\nextendedKeyUsage=serverAuth,clientAuth\\n' > names.cnf;"
        f" openssl x509 -req -in {host.name}.csr -CA ca-cert.pem -CAkey ca-key.pem -days 1095"
        f" -extfile names.cnf -out {file}"
    )
    run.command(f"scp {file} {login}:{folder}/server-cert.pem && scp ca-cert.pem {login}:{folder}/")
    run.command(
        f"ssh {login} 'cd {folder} && ln -s server-cert.pem client-cert.pem && ln -s server-key.pem client-key.pem"
        f" && chown {means.owner} *.pem && chmod 440 *.pem'"
    )


def _check_pairs(run: Run, ready: dict[Host, Means]) -> list[str]:
    """Check certificates both ways between all; returns what is wrong in plain words."""
    failed = []
    for source, here in ready.items():
        for destination, there in ready.items():
            if source == destination:
                continue
            found = moves.encryption(here, there, source.name, destination.name, names_of(destination))
            way = f"{source} → {destination}"
            if found.why_not:
                failed.append(f"{way}: {found.why_not}.")
                run.warn(failed[-1])
            else:
                run.log(_("%(way)s: can go encrypted") % {"way": way})
    return failed
