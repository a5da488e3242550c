"""The migration dialog's form: where, how, and what if it does not end."""

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from virt.names import Refused as BadName
from virt.names import check_host_address
from vms.destinations import COPY, LIVE, OFFLINE, Destination
from vms.encrypted import CURE

MODES = {
    LIVE: _("Live: it keeps running, its disks stay where they are (shared pool)"),
    COPY: _("Live with disk copy: it keeps running, its disks are copied too"),
    OFFLINE: _("Its definition only: it is off"),
}
TRANSPORTS = [
    ("plain", _("from host to host, not encrypted")),
    ("tls", _("TLS, encrypted")),
    ("tunnelled", _("through the hosts' SSH connection (slower, encrypted)")),
]
THEN = [
    ("abort", _("stop and stay where it is")),
    ("pause", _("pause the VM so that it ends soon")),
    ("post_copy", _("switch to post-copy: it runs there at once and fetches the rest")),
]


class TransportSelect(forms.Select):
    """TLS can't be chosen where no host can take it; the reason stands below."""

    has_tls = True

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if value == "tls" and not self.has_tls:
            option["attrs"]["disabled"] = True
        return option


class MigrateForm(forms.Form):
    host = forms.ChoiceField(label=_("Where to"), widget=forms.RadioSelect)
    mode = forms.ChoiceField(label=_("How"))
    bandwidth_mib = forms.IntegerField(
        label=_("Speed limit"), min_value=0, max_value=1_000_000, required=False, help_text=_("MiB/s; empty: none")
    )
    auto_converge = forms.BooleanField(
        label=_("Slow the VM down if its memory changes faster than it can be sent (auto-converge)"), required=False
    )
    compression = forms.BooleanField(label=_("Compress (helps on slow networks)"), required=False)
    post_copy = forms.BooleanField(
        label=_(
            "Post-copy: after one pass it runs there and fetches the rest (if the network breaks then, it stands still)"
        ),
        required=False,
    )
    timeout_s = forms.IntegerField(
        label=_("Time limit"), min_value=0, max_value=86_400, required=False, help_text=_("seconds; empty: none")
    )
    on_timeout = forms.ChoiceField(label=_("At the time limit"), choices=THEN, required=False)
    transport = forms.ChoiceField(label=_("Traffic"), choices=TRANSPORTS, required=False, widget=TransportSelect)
    address = forms.CharField(
        label=_("Address on another network"),
        max_length=255,
        required=False,
        help_text=_("of the destination; empty: the usual one"),
    )

    def __init__(self, *args: Any, destinations: list[Destination], modes: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hosts = [(str(found.host.pk), found.host.name) for found in destinations]
        self.fields["host"] = forms.ChoiceField(choices=[("best", _("best place")), *hosts])
        self._say_tls([found for found in destinations if found.is_possible])
        self.fields["mode"] = forms.ChoiceField(label=_("How"), choices=[(mode, MODES[mode]) for mode in modes])

    def _say_tls(self, usable: list[Destination]) -> None:
        reasons = {found.no_tls for found in usable} - {""}
        if not reasons:
            return
        field = self.fields["transport"]
        if all(found.no_tls for found in usable):
            field.widget.has_tls = False
            why = reasons.pop() if len(reasons) == 1 else gettext("None of these hosts has a valid certificate for it.")
            field.help_text = f"{gettext('No TLS:')} {why} {CURE}"
        else:
            field.help_text = gettext("TLS goes only to hosts with a valid certificate; the list says which have none.")

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"].strip()
        try:
            return check_host_address(address) if address else ""
        except BadName as bad:
            raise forms.ValidationError(str(bad)) from bad

    def params(self) -> dict[str, Any]:
        """What MigrateVm takes."""
        data = self.cleaned_data
        return {
            "host": None if data["host"] == "best" else int(data["host"]),
            "mode": data["mode"],
            "bandwidth_mib": data["bandwidth_mib"] or 0,
            "auto_converge": data["auto_converge"],
            "compression": data["compression"],
            "post_copy": data["post_copy"],
            "timeout_s": data["timeout_s"] or 0,
            "on_timeout": data["on_timeout"] or "abort",
            "tls": data["transport"] == "tls",
            "tunnelled": data["transport"] == "tunnelled",
            "address": data["address"],
        }
