"""Defining a network: what makes sense for its kind, and nothing that can't work on a chosen host."""

import ipaddress
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.forms import checked
from hosts.models import Host, Network, NetworkMode, NetworkOnHost
from virt import names
from virt.xml import network as network_xml
from virt.xml.tree import BadXml

MODES = [
    (NetworkMode.NAT, gettext_lazy("NAT: VMs reach out through their host; nobody reaches in")),
    (NetworkMode.ROUTE, gettext_lazy("Routed: VMs have addresses of their own that your router sends to the host")),
    (NetworkMode.ISOLATED, gettext_lazy("Isolated: VMs on the same host see each other, and nothing else")),
    (NetworkMode.BRIDGE, gettext_lazy("Bridged: VMs are in your own network, through a bridge each host has")),
]
WITH_ADDRESSES = {NetworkMode.NAT, NetworkMode.ROUTE, NetworkMode.ISOLATED}
NOT_FOR_HOSTS = [ipaddress.IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]
CHECK = {"class": "form-check-input"}
PLAIN = {"autocapitalize": "off", "spellcheck": "false"}


class NetworkForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=64, widget=forms.TextInput(attrs=PLAIN))
    mode = forms.ChoiceField(
        label=gettext_lazy("Kind"), choices=MODES, initial=NetworkMode.NAT, widget=forms.RadioSelect(attrs=CHECK)
    )
    bridge = forms.CharField(
        label=gettext_lazy("Bridge"),
        required=False,
        max_length=64,
        help_text=gettext_lazy("Bridged: the hosts' own, such as br0. Otherwise left empty: libvirt chooses one."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    cidr = forms.CharField(
        label=gettext_lazy("Network"),
        required=False,
        max_length=64,
        help_text=gettext_lazy("Such as 192.168.100.0/24. The host gets the first address, or the one given."),
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "192.168.100.0/24"}),
    )
    dhcp = forms.BooleanField(label=gettext_lazy("Give addresses by DHCP"), required=False, initial=True)
    dhcp_start = forms.CharField(
        label=gettext_lazy("First address"),
        required=False,
        max_length=64,
        help_text=gettext_lazy("Both left empty: all that are free."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    dhcp_end = forms.CharField(
        label=gettext_lazy("Last address"), required=False, max_length=64, widget=forms.TextInput(attrs=PLAIN)
    )
    domain = forms.CharField(
        label=gettext_lazy("Domain"),
        required=False,
        max_length=190,
        help_text=gettext_lazy("VMs find each other by name in it."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    autostart = forms.BooleanField(label=gettext_lazy("Start with the host"), required=False, initial=True)
    hosts = forms.ModelMultipleChoiceField(
        label=gettext_lazy("On these hosts"),
        queryset=Host.objects.none(),
        widget=forms.CheckboxSelectMultiple(attrs=CHECK),
        error_messages={"required": gettext_lazy("Choose a host.")},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hosts = Host.objects.filter(is_managed=True).only("name", "bridges", "observed_state", "transport")
        self.fields["hosts"].queryset = hosts  # type: ignore[attr-defined]
        self.fields["hosts"].initial = [host.pk for host in hosts]

    def clean_name(self) -> str:
        name = checked(names.check_network_name, self.cleaned_data["name"])
        if Network.objects.filter(name__iexact=name).exists():
            raise ValidationError(_("A network of this name is there already."))
        return name

    def clean_bridge(self) -> str:
        bridge = self.cleaned_data["bridge"]
        return checked(names.check_bridge, bridge) if bridge else ""

    def clean_domain(self) -> str:
        domain = self.cleaned_data["domain"]
        return checked(names.check_domain, domain) if domain else ""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("mode") == NetworkMode.BRIDGE:
            self._clean_bridged(data)
        elif data.get("mode"):
            self._clean_addresses(data)
            self._clean_own_bridge(data)
        return data

    def _clean_bridged(self, data: dict[str, Any]) -> None:
        for field in ("cidr", "dhcp_start", "dhcp_end", "domain"):
            data[field] = ""
        data["dhcp"] = False
        if "bridge" in data and not data["bridge"]:
            self.add_error("bridge", _("Which bridge of the hosts? For example br0."))
        missing = [
            host.name for host in data.get("hosts", []) if host.bridges and data.get("bridge") not in host.bridges
        ]
        if data.get("bridge") and missing:
            words = _("There is no bridge %(bridge)s on %(hosts)s. Make it there first, or leave the host out.")
            self.add_error("bridge", words % {"bridge": data["bridge"], "hosts": ", ".join(missing)})

    def _clean_own_bridge(self, data: dict[str, Any]) -> None:
        """A bridge that is there already on a host is somebody else's."""
        bridge = data.get("bridge")
        taken = [host.name for host in data.get("hosts", []) if bridge in host.bridges] if bridge else []
        if taken:
            words = _("%(bridge)s is there already on %(hosts)s. For that bridge choose the kind “bridged”.")
            self.add_error("bridge", words % {"bridge": bridge, "hosts": ", ".join(taken)})

    def _clean_addresses(self, data: dict[str, Any]) -> None:
        if not data.get("cidr"):
            if data["mode"] == NetworkMode.ISOLATED:
                data["dhcp_start"] = data["dhcp_end"] = ""
            else:
                self.add_error("cidr", _("This kind of network needs addresses, for example 192.168.100.0/24."))
            return
        here = self._own_address(data["cidr"])
        if here is None:
            return
        data["cidr"] = str(here)
        overlapping = _overlapping(here.network)
        if overlapping:
            words = _("Overlaps with the network %(name)s (%(net)s).")
            self.add_error("cidr", words % {"name": overlapping[0], "net": overlapping[1]})
        if not data.get("dhcp"):
            data["dhcp_start"] = data["dhcp_end"] = ""
        else:
            self._clean_range(data, here)

    def _own_address(self, text: str) -> ipaddress.IPv4Interface | None:
        """The host's address in the network; the first one if only the network was given."""
        try:
            here = ipaddress.IPv4Interface(text.strip())
        except ValueError:
            self.add_error("cidr", _("This is not an IPv4 network, for example 192.168.100.0/24."))
            return None
        network = here.network
        if "/" not in text or not 8 <= network.prefixlen <= 29:
            self.add_error("cidr", _("The size must be between /8 and /29, for example 192.168.100.0/24."))
            return None
        if any(network.overlaps(one) for one in NOT_FOR_HOSTS):
            self.add_error("cidr", _("These addresses are not for networks of hosts."))
            return None
        if here.ip == network.network_address:
            return ipaddress.IPv4Interface(f"{network.network_address + 1}/{network.prefixlen}")
        if here.ip == network.broadcast_address:
            self.add_error("cidr", _("The last address is for messages to all; the host needs another one."))
            return None
        return here

    def _clean_range(self, data: dict[str, Any], here: ipaddress.IPv4Interface) -> None:
        first, last = here.network.network_address + 1, here.network.broadcast_address - 1
        if not data.get("dhcp_start") and not data.get("dhcp_end"):
            below, above = int(here.ip) - int(first), int(last) - int(here.ip)
            start, end = (here.ip + 1, last) if above >= below else (first, here.ip - 1)
            data["dhcp_start"], data["dhcp_end"] = str(start), str(end)
            return
        ends = {}
        for field in ("dhcp_start", "dhcp_end"):
            try:
                ends[field] = ipaddress.IPv4Address((data.get(field) or "").strip())
            except ValueError:
                self.add_error(field, _("This is not an IPv4 address."))
                return
            if not first <= ends[field] <= last:
                self.add_error(field, _("It lies outside of %(net)s.") % {"net": here.network})
                return
            data[field] = str(ends[field])
        if ends["dhcp_start"] > ends["dhcp_end"]:
            self.add_error("dhcp_end", _("The last address comes before the first."))
        elif ends["dhcp_start"] <= here.ip <= ends["dhcp_end"]:
            self.add_error("dhcp_start", _("The host's own address %(ip)s lies in this range.") % {"ip": here.ip})

    def spec(self) -> dict[str, Any]:
        """What hosts.models.Network.spec keeps."""
        data = self.cleaned_data
        return {key: data[key] for key in ("bridge", "cidr", "dhcp_start", "dhcp_end", "domain", "autostart")}


def _overlapping(wanted: ipaddress.IPv4Network) -> tuple[str, str] | None:
    """Another network, ours or one found on a host, that has some of these addresses."""
    for name, spec in Network.objects.values_list("name", "spec"):
        if spec.get("cidr"):
            other = ipaddress.IPv4Interface(spec["cidr"]).network
            if other.overlaps(wanted):
                return name, str(other)
    cells = NetworkOnHost.objects.filter(missing_since=None, network__spec={}).exclude(xml="")
    for name, xml in cells.values_list("network__name", "xml"):
        try:
            found = network_xml.parse(xml).ipv4
        except BadXml:
            continue
        if found and ipaddress.IPv4Interface(found).network.overlaps(wanted):
            return name, str(ipaddress.IPv4Interface(found).network)
    return None
