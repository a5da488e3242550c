"""What every kind of pool has to say about itself."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as _

from jobs.errors import Text
from virt import names, ssh
from virt.target import Target
from virt.xml.pool import PoolSpec


@dataclass(frozen=True)
class Problem:
    """Something that a host lacks for a kind of pool, and what to do about it."""

    message: str
    cure: str


class SourceForm(forms.Form):
    """The part of the pool form that belongs to one kind. Cleaned values become the pool's `source`."""

    def source(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.fields if self.cleaned_data.get(name) not in {"", None}}


class Backend(ABC):
    """One kind of pool."""

    kind: ClassVar[str]
    label: ClassVar[Text]
    summary: ClassVar[Text]  # one sentence for the person who chooses
    libvirt_type: ClassVar[str]
    is_shared: ClassVar[bool]  # every host sees the same content
    programs: ClassVar[dict[str, str]] = {}  # program a host must have -> Debian package that brings it
    port: ClassVar[int] = 0  # where the server of `source["host"]` must answer the host, 0: there is none
    docs: ClassVar[str]  # heading in docs/storage.md
    form: ClassVar[type[SourceForm]]
    can_search: ClassVar[bool] = False  # whether a host can ask a server what it offers

    @abstractmethod
    def spec(self, *, name: str, uuid: str, target_path: str, source: dict[str, Any]) -> PoolSpec:
        """The definition for a host. The same on every host."""

    @abstractmethod
    def recognise(self, spec: PoolSpec) -> dict[str, str] | None:
        """The source of a pool found on a host if it is of this kind, else None."""

    @abstractmethod
    def source_text(self, source: dict[str, Any]) -> str:
        """The source as a person would write it; "" for none."""

    def offered(self, spec: PoolSpec) -> str:
        """What a server was found to offer, as the field `path` takes it; "" if it is nothing for this kind."""
        return ""

    def check_host(self, target: Target, source: dict[str, Any]) -> list[Problem]:
        """What the host lacks. Asks over SSH; a host that has none (TCP) is not asked. Blocks."""
        if not target.has_ssh:
            return []
        problems = []
        for program, package in self.programs.items():
            if not has_program(target, program):
                message = _("The host has no %(program)s.") % {"program": program}
                cure = _("Install it there: apt install %(package)s") % {"package": package}
                problems.append(Problem(message, cure))
        server = str(source.get("host", ""))
        if self.port and server and not problems and not can_reach(target, server, self.port):
            message = _("The host can't reach %(server)s at port %(port)d.") % {"server": server, "port": self.port}
            problems.append(Problem(message, _("Check the server's name, whether it runs, and the firewall")))
        return problems


def has_program(target: Target, program: str) -> bool:
    """Whether root finds this program on the host; mount helpers lie in /sbin or /usr/sbin."""
    script = 'PATH="$PATH:/usr/sbin:/sbin"; command -v "$1" || true'
    return bool(ssh.run(target, ["sh", "-c", script, "sh", program]).strip())


def can_reach(target: Target, server: str, port: int) -> bool:
    """Whether a server accepts connections from the host within some seconds: mount(8) alone would try for minutes."""
    script = 'command -v bash >/dev/null || exit 0; timeout 6 bash -c \'exec 3<>"/dev/tcp/$1/$2"\' bash "$1" "$2"'
    try:
        ssh.run(target, ["sh", "-c", script, "sh", server, str(port)], timeout_s=30)
    except ssh.CommandFailed:
        return False
    return True


def field_error(refused: names.Refused) -> forms.ValidationError:
    """A refused value as a form's error, in the user's language."""
    return forms.ValidationError(_(refused.template) % refused.params)
