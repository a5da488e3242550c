"""Forms of hosts. What a name or an address may look like is decided in virt.names."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from hosts.states import Transport
from virt import names

DEFAULT_PORTS = {Transport.SSH: 22, Transport.TCP: 16509, Transport.TLS: 16514}
TRANSPORTS = [(kind.value, kind.label) for kind in (Transport.SSH, Transport.TLS, Transport.TCP)]


def checked(check: Callable[[str], str], value: str) -> str:
    """The value as `check` (virt.names) returns it; its refusal becomes the field's error."""
    try:
        return check(value)
    except names.Refused as refused:
        raise ValidationError(_(refused.template) % refused.params) from refused


class HostForm(forms.Form):
    """What a host is called and how it is reached; for adding one and for changing it."""

    address = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=255,
        help_text=gettext_lazy("Host name or IP address, as Drover and the other hosts reach it."),
        widget=forms.TextInput(attrs={"autocapitalize": "off", "spellcheck": "false", "placeholder": "10.47.100.3"}),
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=64,
        required=False,
        help_text=gettext_lazy("Left empty: the address."),
        widget=forms.TextInput(attrs={"autocapitalize": "off", "spellcheck": "false", "placeholder": "vmhost1"}),
    )
    username = forms.CharField(
        label=gettext_lazy("Account"),
        max_length=32,
        initial="root",
        required=False,
        help_text=gettext_lazy("root, or an account that may manage libvirt. Migration between hosts needs root."),
        widget=forms.TextInput(attrs={"autocapitalize": "off", "spellcheck": "false"}),
    )
    port = forms.IntegerField(
        label=gettext_lazy("Port"),
        min_value=1,
        max_value=65535,
        required=False,
        help_text=gettext_lazy("Left empty: 22, the port of SSH."),
    )
    transport = forms.ChoiceField(
        label=gettext_lazy("Connection"),
        choices=TRANSPORTS,
        initial=Transport.SSH,
        required=False,
        help_text=gettext_lazy("TLS and TCP reach libvirt alone: no consoles, no key exchange. TCP is not encrypted."),
    )
    migration_address = forms.CharField(
        label=gettext_lazy("Address for migration traffic"),
        max_length=255,
        required=False,
        help_text=gettext_lazy("If VMs shall move over another network than the one of the address above."),
        widget=forms.TextInput(attrs={"autocapitalize": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, host: Host | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.host = host
        if host is not None and host.transport == Transport.LOCAL:
            for field in ("transport", "port", "username"):
                del self.fields[field]
            self.fields["address"].required = False
            self.fields["address"].help_text = _("As the other hosts reach this machine, for migrations.")

    def clean_name(self) -> str:
        name = self.cleaned_data["name"]
        return checked(names.check_vm_name, name) if name else ""

    def clean_address(self) -> str:
        address = self.cleaned_data["address"]
        return checked(names.check_host_address, address) if address else ""

    def clean_migration_address(self) -> str:
        address = self.cleaned_data["migration_address"]
        return checked(names.check_host_address, address) if address else ""

    def clean_username(self) -> str:
        return checked(names.check_user_name, self.cleaned_data["username"] or "root")

    def clean_transport(self) -> str:
        return self.cleaned_data["transport"] or Transport.SSH

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        address = data.get("address", "")
        if "name" in data and not data["name"]:
            if names.is_ip(address):
                data["name"] = address.replace(":", "-")
            else:
                data["name"] = address.partition(".")[0]
        others = Host.objects.exclude(pk=self.host.pk) if self.host else Host.objects.all()
        if data.get("name") and others.filter(name__iexact=data["name"]).exists():
            self.add_error("name", _("Another host is called so already."))
        transport = data.get("transport", Transport.LOCAL)
        port = data.get("port") or DEFAULT_PORTS.get(transport, 0)
        if address and "transport" in data:
            data["port"] = port
            twin = others.filter(address__iexact=address, port__in={port, 0}, transport=transport).first()
            if twin is not None:
                self.add_error("address", _("This is the address of %(host)s.") % {"host": twin})
        return data


class PasswordForm(forms.Form):
    """A password that is used once and kept nowhere."""

    password = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=512,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}, render_value=False),
    )

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if "\n" in password or "\x00" in password:
            raise ValidationError(_("A password has no line breaks."))
        return password


class MaintenanceForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Shown on the host's page, for the others."),
    )
    evacuate = forms.BooleanField(label=gettext_lazy("Move its VMs away now"), required=False)


class EvacuateForm(forms.Form):
    include_off = forms.BooleanField(
        label=gettext_lazy("Also move VMs that are off"),
        required=False,
        help_text=gettext_lazy("Only their definitions move; their disks must lie on a shared pool."),
    )


class NameForm(forms.Form):
    """For what can't be undone: the host's name must be typed."""

    name = forms.CharField(required=False, max_length=64, widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, host: Host, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.host = host
        self.fields["name"].label = _("Type %(name)s to confirm") % {"name": host.name}
        self.fields["name"].widget.attrs["data-must-equal"] = host.name

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if self.host.is_managed and name != self.host.name:
            raise ValidationError(_("This is not the name of the host."))
        return name


class RemoveForm(NameForm):
    remove_keys = forms.BooleanField(
        label=gettext_lazy("Take Drover's key off the host, and its migration key off the others"),
        required=False,
        initial=True,
    )
    forget_vms = forms.BooleanField(
        label=gettext_lazy("Also forget its VMs in Drover (owners, tags, history)"), required=False
    )
