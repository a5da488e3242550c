"""Adding a host, step by step: see its keys, pin them, be let in, look it over, take it into the cluster."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from hosts.cpu import refresh_if_stale
from hosts.models import Host
from hosts.operations.base import HostOperation
from hosts.states import HostState, Level, SetupStep, Transport
from jobs import secrets
from jobs.engine import enqueue
from jobs.errors import Failed, Refused
from jobs.models import Job
from jobs.operations import by_name, register
from jobs.run import Run
from virt import ssh
from virt.errors import AuthenticationFailed, HostKeyChanged, HostUnreachable
from virt.target import HostKey


def begin_host(user: User, fields: dict[str, Any]) -> Job:
    """The row of a host that nothing looks after yet, and its first step. Raises PermissionDenied.

    fields as hosts.forms.HostForm gives them: name, address, port, username, transport, migration_address.
    """
    is_ssh = fields["transport"] == Transport.SSH
    with transaction.atomic():
        host = Host.objects.create(
            name=fields["name"],
            address=fields["address"],
            port=fields["port"],
            username=fields["username"],
            transport=fields["transport"],
            migration_address=fields["migration_address"],
            is_managed=False,
            setup_step=SetupStep.KEYS if is_ssh else SetupStep.CHECK,
        )
        return enqueue(by_name("hosts.probe" if is_ssh else "hosts.preflight")(host), user=user)


@register
class ProbeHost(HostOperation):
    """Read the SSH keys that a host shows, for a person to compare. Nothing is trusted by it."""

    name = "hosts.probe"
    verb = gettext_lazy("Read the SSH keys of")
    for_managed = None

    def run(self, run: Run) -> dict[str, Any]:
        """Stores them as offered_keys. Raises HostUnreachable."""
        host = self.target
        run.progress(None, _("Asking %(address)s for its SSH keys") % {"address": host.address})
        run.command("ssh-keyscan", "-p", str(host.port or 22), host.address)
        public_key = ssh.ensure_key(settings.SSH_DIR)
        keys = ssh.scan_keys(host.address, host.port or 22)
        self.store(
            public_key=public_key,
            offered_keys=[[key.kind, key.blob] for key in keys],
            offered_at=timezone.now(),
        )
        for key in keys:
            run.log(f"{key.kind} {key.fingerprint}")
        return {"fingerprints": [[key.kind, key.fingerprint] for key in keys]}


class _Login(HostOperation):
    """What the steps that end with a first login share."""

    for_managed: ClassVar[bool | None] = None

    def look_over(self, run: Run) -> None:
        """The key is accepted: go on with the preflight, as a job of its own."""
        if not self.target.is_managed:
            self.store(setup_step=SetupStep.CHECK)
        enqueue(by_name("hosts.preflight")(self.target), user=run.job.user)

    def is_let_in(self) -> bool:
        try:
            ssh.run(self.target.target, ["true"], fresh=True)
        except AuthenticationFailed:
            return False
        return True


@register
class PinKeys(_Login):
    """Trust exactly the keys that a person compared; then see whether the host lets us in already."""

    name = "hosts.pin"
    verb = gettext_lazy("Pin the SSH keys of")
    for_managed = False

    def refuse(self) -> None:
        if not self.params.get("keys") or self.params["keys"] != self.target.offered_keys:
            message = _("The host shows other keys now than those you compared. Please compare again.")
            raise Refused(message, field="fingerprints")

    def run(self, run: Run) -> dict[str, Any]:
        self.store(host_keys=self.params["keys"], setup_step=SetupStep.LOGIN)
        for kind, blob in self.params["keys"]:
            run.log(_("Pinned: %(key)s") % {"key": f"{kind} {HostKey(kind, blob).fingerprint}"})
        run.progress(50, _("Trying to log in with Drover's key"))
        let_in = self.is_let_in()
        if let_in:
            run.log(_("The host accepts Drover's key already."))
            self.look_over(run)
        return {"let_in": let_in}


@register
class InstallKey(_Login):
    """Log in once with a password, which is kept nowhere, and add Drover's public key to the account."""

    name = "hosts.install_key"
    verb = gettext_lazy("Install Drover's key on")
    for_managed = None

    def refuse(self) -> None:
        if not self.target.host_keys:
            raise Refused(_("Compare the fingerprint first: the password must go to no other machine."))

    def run(self, run: Run) -> dict[str, Any]:
        """Raises AuthenticationFailed, HostUnreachable, Failed if the password is no longer kept."""
        host = self.target
        where = f"{host.username}@{host.address}"
        if run.is_repeat and self.is_let_in():  # the password was used up by the run that was interrupted
            self.look_over(run)
            return {}
        run.command("ssh-copy-id", "-p", str(host.port or 22), "-i", str(settings.SSH_DIR / "id_ed25519.pub"), where)
        run.progress(30, _("Logging in once with the password"))
        try:
            ssh.install_key(host.target, secrets.take(self.params["secret"]))
        except AuthenticationFailed as no:
            hint = _("%(problem)s Many systems let root in only with a key: then add the shown line by hand.")
            raise Failed(hint % {"problem": no.message}, no.technical) from no
        run.progress(80, _("Logging in with Drover's key"))
        if not self.is_let_in():
            raise Failed(_("The key was added, but the host still does not accept it (see its sshd_config)."))
        self.look_over(run)
        return {}


@register
class TryLogin(_Login):
    """See whether the host accepts Drover's key now that a person has added it."""

    name = "hosts.try_login"
    verb = gettext_lazy("Try to log in to")
    for_managed = None

    def run(self, run: Run) -> dict[str, Any]:
        """Raises Failed, HostUnreachable."""
        host = self.target
        run.command("ssh", "-p", str(host.port or 22), f"{host.username}@{host.address}", "true")
        if not self.is_let_in():
            raise Failed(
                _("The host does not accept Drover's key yet. Is the line in ~%(user)s/.ssh/authorized_keys?")
                % {"user": host.username}
            )
        self.look_over(run)
        return {}


@register
class AcceptHost(HostOperation):
    """Take a host that was looked over into the cluster. From now on the watch looks after it."""

    name = "hosts.accept"
    verb = gettext_lazy("Add to the cluster:")
    for_managed = False

    def refuse(self) -> None:
        if self.target.setup_step != SetupStep.CHECK or self.target.preflight_at is None:
            raise Refused(_("The host has not been looked over yet."))
        problems = [check["title"] for check in self.target.preflight if check["level"] == Level.PROBLEM]
        if problems:
            raise Refused(_("First to be solved: %(problems)s.") % {"problems": ", ".join(problems)})
        twin = Host.objects.filter(uuid=self.target.uuid).exclude(pk=self.target.pk).first()
        if self.target.uuid and twin is not None:
            raise Refused(_("It is the same machine as %(host)s, or has the same machine UUID.") % {"host": twin})

    def run(self, run: Run) -> dict[str, Any]:
        self.store(is_managed=True, setup_step="", observed_state=HostState.NEW, state_since=timezone.now())
        run.command("virsh", "-c", self.target.target.shown_uri, "list", "--all")
        refresh_if_stale()
        return {}


@register
class PinNewKeys(HostOperation):
    """After a host's SSH key changed, and a person compared old and new: trust the new ones."""

    name = "hosts.repin"
    verb = gettext_lazy("Pin the new SSH keys of")
    for_managed = True

    def refuse(self) -> None:
        if self.target.transport != Transport.SSH:
            raise Refused(_("This host is not reached by SSH."))
        if not self.params.get("keys") or self.params["keys"] != self.target.offered_keys:
            message = _("The host shows other keys now than those you compared. Please compare again.")
            raise Refused(message, field="fingerprints")

    def run(self, run: Run) -> dict[str, Any]:
        """Raises HostUnreachable and its kinds if the host does not answer to the new keys."""
        host = self.target
        for kind, blob in host.host_keys:
            run.log(_("No longer trusted: %(key)s") % {"key": f"{kind} {HostKey(kind, blob).fingerprint}"})
        for kind, blob in self.params["keys"]:
            run.log(_("Pinned: %(key)s") % {"key": f"{kind} {HostKey(kind, blob).fingerprint}"})
        ssh.forget(host.target)  # ends the shared connection that was made under the old keys
        self.store(host_keys=self.params["keys"])
        try:
            ssh.run(host.target, ["true"])
        except HostKeyChanged:
            raise Failed(_("The host shows yet another key now. Please compare again.")) from None
        except HostUnreachable as problem:
            run.warn(problem.message)
        return {}
