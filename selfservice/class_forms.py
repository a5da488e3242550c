"""Forms of classes: making one, its end."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.groups import roster
from access.models import Group, User
from access.people import Denied
from access.times import end_of
from selfservice import classes
from selfservice.first_boot import Field
from selfservice.models import OfferVersion
from selfservice.request_forms import CHECKS, VALUE, size_of, value_field
from selfservice.sizes import SIZES

MOST_BYTES = 100_000
DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class ClassForm(forms.Form):
    """Who, from which offer, how called, how large, until when."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    name = forms.CharField(label=gettext_lazy("Name of the class"), max_length=60)
    pattern = forms.CharField(
        label=gettext_lazy("Names of the VMs"),
        max_length=60,
        initial=classes.PATTERN,
        help_text=gettext_lazy("<class> and <user> stand for their names, # for a digit of the number."),
    )
    people = forms.ModelMultipleChoiceField(
        label=gettext_lazy("People of the group"), queryset=User.objects.none(), required=False, widget=CHECKS
    )
    names = forms.CharField(
        label=gettext_lazy("or usernames"),
        required=False,
        max_length=MOST_BYTES,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=gettext_lazy("One a line, or CSV with a column “user”. Then only these, whatever is ticked."),
    )
    file = forms.FileField(
        label=gettext_lazy("or a CSV file"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
    )
    until = forms.DateField(
        label=gettext_lazy("Until"),
        required=False,
        widget=DAY,
        help_text=gettext_lazy("To the end of this day. Empty: as long as the offer gives."),
    )
    wants_snapshot = forms.BooleanField(
        label=gettext_lazy("Take a start snapshot, to which the VMs can be reset"),
        required=False,
        initial=True,
        help_text=gettext_lazy("VMs with snapshots stay on their hosts."),
    )

    def __init__(self, data: Any = None, files: Any = None, *, by: User, group: Group, offered: OfferVersion) -> None:
        super().__init__(data, files)
        self.by, self.group, self.offered = by, group, offered
        self.declared = Field.all_of(offered.fields)
        self.fields["version"].initial = offered.number
        people = classes.candidates(group)
        self.fields["people"].queryset = people  # type: ignore[attr-defined]
        managers = set(group.memberships.filter(is_manager=True).values_list("user", flat=True))
        self.fields["people"].initial = [one.pk for one in people if one.pk not in managers]
        for name in SIZES:
            field = size_of(offered, name)
            if field is not None:
                self.fields[name] = field
        for one in self.declared:
            self.fields[VALUE + one.name] = value_field(one)

    def clean_version(self) -> int:
        if self.cleaned_data["version"] != self.offered.number:
            raise forms.ValidationError(_("The offer has changed meanwhile: look at it again."))
        return self.offered.number

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file is None:
            return ""
        if file.size > MOST_BYTES:
            raise forms.ValidationError(_("This file is too large for a list of names."))
        try:
            return str(file.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise forms.ValidationError(_("This is no text in UTF-8.")) from error

    def clean(self) -> dict[str, Any]:
        """The roster is what was written or sent; what is ticked, if there is none."""
        data = super().clean() or {}
        for field in ("names", "file"):
            text = data.get(field) or ""
            if not text.strip():
                continue
            try:
                people, wrong = classes.people_of(self.by, self.group, roster(text))
            except Denied as denied:
                self.add_error(field, str(denied.message))
                continue
            data["people"] = people
            for line in wrong:
                self.add_error(field, line)
        return data

    @property
    def sizes(self) -> list[Any]:
        return [self[name] for name in SIZES if name in self.fields]

    @property
    def values(self) -> list[Any]:
        return [self[VALUE + one.name] for one in self.declared]

    def wish(self) -> classes.Wish:
        """Of what is right of it so far; what it begins with, for the rest."""
        data: dict[str, Any] = getattr(self, "cleaned_data", {})
        until = data.get("until")
        return classes.Wish(
            name=data.get("name", ""),
            version=self.offered,
            people=list(data.get("people") or ()),
            sizes={name: data.get(name) or getattr(self.offered, name) for name in SIZES},
            values={one.name: data.get(VALUE + one.name) for one in self.declared},
            pattern=data.get("pattern", ""),
            until=end_of(until) if until else None,
            wants_snapshot=bool(data.get("wants_snapshot")),
        )


class UntilForm(forms.Form):
    until = forms.DateField(
        label=gettext_lazy("Until"), widget=DAY, help_text=gettext_lazy("To the end of this day, for each of its VMs.")
    )
