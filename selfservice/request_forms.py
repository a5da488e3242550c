"""Forms of asking and deciding."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access import ssh_keys
from access.models import Group, User
from access.people import Denied
from selfservice.first_boot import CHOICE, MOST_NUMBER, MOST_TEXT, NUMBER, YES, Field
from selfservice.models import OfferVersion, Request
from selfservice.sizes import SIZES
from selfservice.terms import MOST_DAYS
from ui import text
from vms.forms import SizeField

VALUE = "value-"
MOST_REASON, MOST_KEYS = 2000, 20_000
PIECES = {"vcpus": gettext_lazy("vCPUs"), "memory_bytes": gettext_lazy("Memory"), "disk_bytes": gettext_lazy("Disk")}
CHECKS = forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"})


def of_each(several: bool, label: Any) -> Any:
    return _("%(what)s of each") % {"what": label} if several else label


def size_of(version: OfferVersion, name: str) -> forms.Field | None:
    """A field for one of the sizes; None if the offer leaves no choice."""
    least, most = getattr(version, f"least_{name}"), getattr(version, f"most_{name}")
    if least == most:
        return None
    several, now = version.most_vms > 1, getattr(version, name)
    if name == "vcpus":
        hint = _("%(least)s to %(most)s") % {"least": least, "most": most}
        wheel = forms.NumberInput(attrs={"min": least, "max": most})
        return forms.IntegerField(label=of_each(several, PIECES[name]), initial=now, help_text=hint, widget=wheel)
    hint = _("%(least)s to %(most)s") % {"least": text.size(least), "most": text.size(most)}
    return SizeField(label=of_each(several, PIECES[name]), initial=now, help_text=hint)


def value_field(one: Field) -> forms.Field:
    """What an administrator declared, as a field."""
    common: dict[str, Any] = {"label": one.shown, "required": one.is_required}
    if one.kind == YES:
        return forms.BooleanField(label=one.shown, required=False)
    if one.kind == NUMBER:
        return forms.IntegerField(**common, min_value=-MOST_NUMBER, max_value=MOST_NUMBER)
    if one.kind == CHOICE:
        empty = [] if one.is_required else [("", _("none"))]
        return forms.ChoiceField(**common, choices=[*empty, *((choice, choice) for choice in one.choices)])
    return forms.CharField(**common, max_length=MOST_TEXT)


class AskForm(forms.Form):
    """How many, how large, how called; what the offer's template wants; why."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    pattern = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    count = forms.IntegerField(label=gettext_lazy("How many"), initial=1)
    group = forms.ModelChoiceField(
        label=gettext_lazy("For a group"),
        queryset=Group.objects.none(),
        required=False,
        empty_label=gettext_lazy("for myself"),
        help_text=gettext_lazy("Then they count for its quota too, and its managers see them."),
    )
    ssh_keys = forms.ModelMultipleChoiceField(
        label=gettext_lazy("SSH keys"), queryset=User.objects.none(), required=False, widget=CHECKS
    )
    new_keys = forms.CharField(
        label=gettext_lazy("Public key"),
        required=False,
        max_length=MOST_KEYS,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "placeholder": "ssh-ed25519 AAAA… me@laptop"}),
        help_text=gettext_lazy("The content of a file such as ~/.ssh/id_ed25519.pub. It is kept in your profile."),
    )
    reason = forms.CharField(
        label=gettext_lazy("What for"),
        max_length=MOST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Who decides reads it."),
    )

    def __init__(self, data: Any = None, *, user: User, offered: OfferVersion) -> None:
        super().__init__(data)
        self.offered = offered
        self.declared = Field.all_of(offered.fields)
        self.fields["version"].initial = offered.number
        most = offered.most_vms
        if most > 1:
            self.fields["pattern"].help_text = _("# stands for a digit of the number: web-## is web-01, web-02…")
            self.fields["count"].widget.attrs |= {"min": 1, "max": most}
            self.fields["count"].help_text = _("At most %(n)s.") % {"n": most}
        else:
            del self.fields["count"]
        for name in SIZES:
            field = size_of(offered, name)
            if field is not None:
                self.fields[name] = field
        for one in self.declared:
            self.fields[VALUE + one.name] = value_field(one)
        keys, groups = user.ssh_keys.all(), Group.objects.filter(memberships__user=user)
        self.fields["ssh_keys"].queryset = keys  # type: ignore[attr-defined]
        self.fields["ssh_keys"].initial = keys
        self.fields["group"].queryset = groups  # type: ignore[attr-defined]
        if not groups.exists():
            del self.fields["group"]

    def clean_version(self) -> int:
        if self.cleaned_data["version"] != self.offered.number:
            raise forms.ValidationError(_("The offer has changed meanwhile: look at it again."))
        return self.offered.number

    def clean_new_keys(self) -> list[str]:
        """The pasted keys, a text each."""
        pasted = self.cleaned_data["new_keys"]
        try:
            return ssh_keys.read(pasted) if pasted else []
        except Denied as denied:
            raise forms.ValidationError(str(denied.message)) from denied

    @property
    def sizes(self) -> list[Any]:
        return [self[name] for name in SIZES if name in self.fields]

    @property
    def values(self) -> list[Any]:
        return [self[VALUE + one.name] for one in self.declared]

    def wish_now(self) -> dict[str, Any]:
        """What the gauges show: what is right of a form that is half filled in, else what it begins with."""
        if not self.is_bound:
            self.cleaned_data: dict[str, Any] = {}
        return self.wish()

    def wish(self) -> dict[str, Any]:
        """As `asking.ask` takes it."""
        data = self.cleaned_data
        sizes = {name: data.get(name) or getattr(self.offered, name) for name in SIZES}
        return {
            "pattern": data.get("pattern", ""),
            "count": data.get("count") or 1,
            **sizes,
            "values": {one.name: data.get(VALUE + one.name) for one in self.declared},
            "ssh_keys": [key.text for key in data.get("ssh_keys") or ()],
            "new_keys": data.get("new_keys") or [],
            "reason": data.get("reason", ""),
            "group": data.get("group"),
        }


class ApproveForm(forms.Form):
    """With other sizes than those asked for, within the offer."""

    why = forms.CharField(
        label=gettext_lazy("A word to who asked"),
        required=False,
        max_length=MOST_REASON,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, data: Any = None, *, request: Request) -> None:
        super().__init__(data)
        version = request.version
        if version.most_vms > 1:
            wheel = forms.NumberInput(attrs={"min": 1, "max": version.most_vms})
            self.fields["count"] = forms.IntegerField(label=_("How many"), initial=request.count, widget=wheel)
        for name in SIZES:
            field = size_of(version, name)
            if field is not None:
                field.initial = getattr(request, name)
                self.fields[name] = field
        hint = "" if version.most_lease_days is None else _("At most %(n)s.") % {"n": version.most_lease_days}
        self.fields["lease_days"] = forms.IntegerField(
            label=_("Days"),
            initial=request.lease_days,
            required=version.most_lease_days is not None,
            min_value=1,
            max_value=MOST_DAYS,
            help_text=hint or _("Empty: it does not expire."),
        )
        self.order_fields(["count", *SIZES, "lease_days", "why"])

    def changes(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "why"}


class RejectForm(forms.Form):
    why = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=MOST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Who asked reads it."),
    )
