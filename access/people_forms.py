"""Forms of people, groups and grants. What may not be is said by access.people and access.groups."""

from datetime import datetime
from typing import Any

from django import forms
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.groups import roster
from access.models import Group, Invitation, Role, User
from access.people import Denied
from access.times import end_of
from ui.forms import LongSelect

MAX_ROSTER_BYTES = 256 * 1024
NEW_PASSWORD = forms.PasswordInput(attrs={"autocomplete": "new-password"})


class PersonForm(forms.Form):
    username = forms.CharField(
        label=gettext_lazy("Username"),
        max_length=150,
        help_text=gettext_lazy("For logging in; it stays. Letters, digits and @ . + - _"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    first_name = forms.CharField(label=gettext_lazy("First name"), max_length=150, required=False)
    last_name = forms.CharField(label=gettext_lazy("Last name"), max_length=150, required=False)
    email = forms.EmailField(label=gettext_lazy("E-mail"), max_length=254, required=False)
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=Role.choices, initial=Role.USER)


class NewPasswordField(forms.CharField):
    def __init__(self, **more: Any) -> None:
        text = gettext_lazy("Left empty: Drover makes one and shows it once.")
        super().__init__(required=False, strip=False, max_length=128, widget=NEW_PASSWORD, help_text=text, **more)


class NewPersonForm(PersonForm):
    password = NewPasswordField(label=gettext_lazy("First password"))


class EditPersonForm(PersonForm):
    username = None  # type: ignore[assignment]


class PasswordForm(forms.Form):
    password = NewPasswordField(label=gettext_lazy("New password"))


class InvitationForm(forms.Form):
    username = forms.CharField(
        label=gettext_lazy("Username"),
        required=False,
        max_length=150,
        help_text=gettext_lazy("Empty: whoever comes chooses one."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    email = forms.EmailField(
        label=gettext_lazy("E-mail"), max_length=254, required=False, help_text=gettext_lazy("Nothing is sent there.")
    )
    send = forms.BooleanField(label=gettext_lazy("Send the link there"), required=False)
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=Role.choices, initial=Role.USER)
    group = forms.ModelChoiceField(
        label=gettext_lazy("Into the group"),
        queryset=Group.objects.all(),
        required=False,
        widget=LongSelect,
        empty_label="–",
    )
    days = forms.ChoiceField(
        label=gettext_lazy("Valid"),
        choices=[("1", gettext_lazy("1 day")), ("7", gettext_lazy("7 days")), ("30", gettext_lazy("30 days"))],
        initial="7",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.EMAIL_HOST:
            self.fields["email"].help_text = ""
        else:
            del self.fields["send"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("send") and not cleaned.get("email") and "email" not in self.errors:
            self.add_error("email", _("Where to?"))
        return cleaned

    def values(self) -> dict[str, Any]:
        """What access.invitations.make takes."""
        return {name: self.cleaned_data[name] for name in ("username", "email", "role", "group")}


class RequiredFactorsForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=gettext_lazy("Roles"),
        choices=Role.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
    )


class JoinForm(forms.Form):
    username = forms.CharField(
        label=gettext_lazy("Username"),
        max_length=150,
        help_text=gettext_lazy("For logging in; it stays. Letters, digits and @ . + - _"),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    first_name = forms.CharField(label=gettext_lazy("First name"), max_length=150, required=False)
    last_name = forms.CharField(label=gettext_lazy("Last name"), max_length=150, required=False)
    password = forms.CharField(label=gettext_lazy("Password"), strip=False, max_length=128, widget=NEW_PASSWORD)
    again = forms.CharField(label=gettext_lazy("Password once more"), strip=False, max_length=128, widget=NEW_PASSWORD)

    def __init__(self, *args: Any, invitation: Invitation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if invitation.username:
            del self.fields["username"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("password") and cleaned.get("again") and cleaned["password"] != cleaned["again"]:
            self.add_error("again", _("The two passwords are not the same."))
        return cleaned

    def values(self) -> dict[str, Any]:
        """What access.invitations.accept takes."""
        return {name: self.cleaned_data[name] for name in self.fields if name not in ("password", "again")}


class GroupForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=100, help_text=gettext_lazy("A course, a project."))
    description = forms.CharField(
        label=gettext_lazy("Description"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, group: Group | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        others = Group.objects.exclude(pk=self.group.pk) if self.group else Group.objects.all()
        if others.filter(name__iexact=name).exists():
            raise ValidationError(_("There is a group with this name already."))
        return name


class MembersForm(forms.Form):
    names = forms.CharField(
        label=gettext_lazy("Usernames"),
        required=False,
        max_length=MAX_ROSTER_BYTES,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text=gettext_lazy("One a line, or with commas between them."),
    )
    file = forms.FileField(
        label=gettext_lazy("or a CSV file"),
        required=False,
        help_text=gettext_lazy("Its column “username”, else its first."),
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
    )
    is_manager = forms.BooleanField(label=gettext_lazy("As managers"), required=False)

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file is None:
            return ""
        if file.size > MAX_ROSTER_BYTES:
            raise ValidationError(_("This file is too large for a list of names."))
        try:
            return str(file.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise ValidationError(_("This is no text in UTF-8.")) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        try:
            people = [*roster(cleaned.get("names", "")), *roster(cleaned.get("file", ""))]
        except Denied as denied:
            self.add_error("names", str(denied.message))
            return cleaned
        if not people and not self.errors:
            self.add_error("names", _("Write at least one name."))
        return {**cleaned, "people": people}


def people_choices() -> Any:
    return User.objects.filter(is_active=True).order_by("username")


class GrantForm(forms.Form):
    """`fixed`: what the page it is opened from says already, by the name of its field."""

    to_user = forms.ModelChoiceField(
        label=gettext_lazy("Person"), queryset=User.objects.none(), required=False, widget=LongSelect, empty_label="–"
    )
    to_group = forms.ModelChoiceField(
        label=gettext_lazy("or all of a group"),
        queryset=Group.objects.all(),
        required=False,
        widget=LongSelect,
        empty_label="–",
    )
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=Role.choices, initial=Role.USER)
    on_vm = forms.CharField(
        label=gettext_lazy("On the VM"),
        required=False,
        max_length=255,
        help_text=gettext_lazy("Its name or UUID."),
    )
    on_group = forms.ModelChoiceField(
        label=gettext_lazy("or on the VMs of a group"),
        queryset=Group.objects.all(),
        required=False,
        widget=LongSelect,
        empty_label="–",
    )
    on_pool = forms.ModelChoiceField(
        label=gettext_lazy("or on a pool"),
        queryset=Group.objects.none(),
        required=False,
        widget=LongSelect,
        empty_label="–",
    )
    on_all = forms.BooleanField(label=gettext_lazy("On everything"), required=False)
    until = forms.DateField(
        label=gettext_lazy("Until the end of"),
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Empty: until it is taken away."),
    )

    def __init__(self, *args: Any, fixed: dict[str, Model], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fixed = fixed
        self.fields["to_user"].queryset = people_choices()  # type: ignore[attr-defined]
        self.fields["on_pool"].queryset = apps.get_model("storage.Pool")._default_manager.all()  # type: ignore[attr-defined]
        subjects, targets = ("to_user", "to_group"), ("on_vm", "on_group", "on_pool", "on_all")
        for names in (subjects, targets):
            if any(name in fixed for name in names):
                for name in names:
                    del self.fields[name]

    def clean_on_vm(self) -> Model | None:
        text = self.cleaned_data["on_vm"].strip()
        if not text:
            return None
        found = vms_called(text)
        if len(found) != 1:
            raise ValidationError(
                _("Several VMs are called so: write the UUID.") if found else _("There is no such VM.")
            )
        return found[0]

    def clean_until(self) -> datetime | None:
        day = self.cleaned_data["until"]
        return end_of(day) if day else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        chosen = [name for name in ("on_vm", "on_group", "on_pool") if cleaned.get(name)]
        if "on_all" in self.fields and not self.errors and bool(chosen) == bool(cleaned["on_all"]):
            word = _("Choose one thing, or everything.")
            self.add_error("on_all", word)
        return cleaned

    def given(self) -> dict[str, Any]:
        """What access.groups.give takes."""
        values = {name: value for name, value in self.cleaned_data.items() if name != "on_all"}
        return {**values, **self.fixed}


def vms_called(text: str) -> list[Model]:
    """VMs by UUID or name, two at most."""
    rows = apps.get_model("vms.Vm")._default_manager.order_by("pk").only("pk", "name", "uuid")
    try:
        return list(rows.filter(uuid=text))
    except ValidationError:
        return list(rows.filter(name=text)[:2])
