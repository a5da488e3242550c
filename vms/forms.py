"""Forms of the actions on one VM. What they accept is checked again by the operation."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import Group, User
from access.rules import everywhere, visible
from ui import forms as ui_forms
from ui import text
from ui.forms import LongSelect
from virt import names
from vms.checks import clean_tags, name_problem, words
from vms.disks import DiskOfVm
from vms.models import Vm
from vms.sizes import kept

UNITS = {"": 1024**3, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}
SIZE = re.compile(r"\s*(\d{1,19})(?:[.,](\d{1,6}))?\s*([bkmgtp]?)(?:i?b)?\s*", re.IGNORECASE)
LARGEST = 2**62
MAX_CHOSEN = 500
MOST_NOTES = 2000
CHECKS = forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"})


def parse_size(value: str) -> int:
    """Bytes from "2 GiB", "512M", "1.5t"; a bare number is GiB. Raises ValidationError."""
    found = SIZE.fullmatch(value)
    if found is None:
        raise ValidationError(_("Write a size such as 2 GiB or 512 MiB."), code="invalid")
    whole, part, unit = found.groups()
    factor = UNITS[unit.lower()]
    size = int(whole) * factor + (int(part) * factor // 10 ** len(part) if part else 0)
    if size > LARGEST:
        raise ValidationError(_("This is too large."), code="invalid")
    return size


class SizeField(forms.CharField):
    """A size with its unit, in bytes. A number (as JSON has it) is bytes already."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=30, **kwargs)

    def clean(self, value: Any) -> Any:
        written = super().clean(f"{value} B" if isinstance(value, int) else value)
        return parse_size(written) if written else None

    def prepare_value(self, value: Any) -> Any:
        return exact_size(value) if isinstance(value, int) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except ValidationError:
            return True


def exact_size(value: int) -> str:
    """The size in the largest unit that needs no fraction: what a form shows must mean what is there."""
    for unit, factor in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if value and value % factor == 0:
            return f"{value // factor} {unit}"
    return f"{value} B"


class TagsField(forms.CharField):
    """Tags with commas between them, or a list of them (as JSON has it)."""

    def clean(self, value: Any) -> Any:
        from jobs.errors import Refused

        try:
            return clean_tags(value if isinstance(value, list) else (super().clean(value) or "").split(","))
        except Refused as refused:
            raise ValidationError(str(refused.message)) from refused

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value


class RenameForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("New name"), max_length=300)

    def __init__(self, *args: Any, vm: Vm, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.vm = vm

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if problem := name_problem(name, besides=self.vm):
            raise ValidationError(problem)
        return name


WHOSE = ("owner", "group")


class EditForm(forms.Form):
    title = forms.CharField(label=gettext_lazy("Title"), required=False, max_length=300)
    description = forms.CharField(label=gettext_lazy("Notes"), required=False, widget=forms.Textarea(attrs={"rows": 4}))
    tags = TagsField(
        label=gettext_lazy("Tags"), required=False, help_text=gettext_lazy("With commas between them."), max_length=1000
    )
    owner = forms.ModelChoiceField(
        label=gettext_lazy("Owner"),
        queryset=User.objects.none(),
        required=False,
        empty_label=gettext_lazy("nobody"),
    )

    group = forms.ModelChoiceField(
        label=gettext_lazy("Group"),
        queryset=Group.objects.all(),
        required=False,
        empty_label=gettext_lazy("no group"),
        help_text=gettext_lazy("Its managers may do with the VM what an operator may."),
    )

    def __init__(self, data: Any = None, *, vm: Vm, user: User) -> None:
        now = {"title": vm.title, "description": vm.description, "owner": vm.owner_id, "group": vm.group_id}
        super().__init__(data, initial={**now, "tags": [tag.name for tag in vm.tags.all()]})
        people = User.objects.filter(Q(is_active=True) | Q(pk=vm.owner_id)).order_by("username")
        self.fields["owner"].queryset = people  # type: ignore[attr-defined]
        if not everywhere(user, "vms.change"):  # whose it is decides who may do what with it
            for field in WHOSE:
                del self.fields[field]

    def _checked(self, field: str, check: Any) -> str:
        try:
            return str(check(self.cleaned_data[field]))
        except names.Refused as refused:
            raise ValidationError(words(refused)) from refused

    def clean_title(self) -> str:
        return self._checked("title", names.check_title)

    def clean_description(self) -> str:
        """Notes of a person; what an adopted VM brought may be longer, as long as it stays so."""
        notes = self._checked("description", names.check_description)
        if len(notes) > max(MOST_NOTES, len(self.initial["description"])):
            raise ValidationError(_("At most %(n)s characters.") % {"n": MOST_NOTES})
        return notes

    def params(self) -> dict[str, Any]:
        whose = {name: getattr(self.cleaned_data[name], "pk", None) for name in WHOSE if name in self.cleaned_data}
        return {**self.cleaned_data, **whose}


class IntoGroupForm(forms.Form):
    names = forms.CharField(
        label=gettext_lazy("VMs"),
        max_length=60_000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=gettext_lazy("Names, one a line or with commas between them; all of one kind with a star: os-*"),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean(self) -> dict[str, Any]:
        """vms: those that are meant."""
        cleaned = super().clean() or {}
        wanted = list(dict.fromkeys(re.split(r"[\s,;]+", cleaned.get("names", "").strip())))
        rows = visible(self.user, Vm.objects.only("uuid", "name"), "vms.change")
        found: dict[int, Vm] = {}
        for name in wanted if cleaned.get("names") else []:
            some = rows.filter(name__startswith=name[:-1]) if name.endswith("*") else rows.filter(name=name)
            new = list(some[: MAX_CHOSEN + 1])
            if not new:
                self.add_error("names", _("There is no VM “%(name)s”.") % {"name": name})
            found |= {vm.pk: vm for vm in new}
            if len(found) > MAX_CHOSEN:
                self.add_error("names", _("At most %(n)s VMs at once.") % {"n": MAX_CHOSEN})
                break
        return {**cleaned, "vms": list(found.values())}


class HandOverForm(forms.Form):
    to = forms.ModelChoiceField(label=gettext_lazy("To"), queryset=User.objects.none(), widget=LongSelect)

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = User.objects.filter(is_active=True).exclude(pk=person.pk).order_by("username")
        self.fields["to"].queryset = people  # type: ignore[attr-defined]


class ResizeForm(forms.Form):
    vcpus = forms.IntegerField(label=gettext_lazy("vCPUs"), min_value=1, max_value=names.MAX_VCPUS)
    max_vcpus = forms.IntegerField(
        label=gettext_lazy("Most vCPUs"),
        min_value=1,
        max_value=names.MAX_VCPUS,
        required=False,
        help_text=gettext_lazy("It can grow to this while it runs. A new value holds from the next start."),
    )
    memory_bytes = SizeField(label=gettext_lazy("Memory"))

    def __init__(self, data: Any = None, *, vm: Vm) -> None:
        then = kept(vm)
        now = {"vcpus": then.vcpus, "memory_bytes": then.memory_bytes, "max_vcpus": then.max_vcpus}
        super().__init__(data, initial=now)

    def params(self) -> dict[str, Any]:
        """Only what was changed."""
        return {name: self.cleaned_data[name] for name in self.changed_data if self.cleaned_data[name] is not None}


class DiskForm(forms.Form):
    size_bytes = SizeField(label=gettext_lazy("New size"))

    def __init__(self, *args: Any, now_bytes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now_bytes = now_bytes
        self.fields["size_bytes"].help_text = _("Now %(size)s.") % {"size": text.size(now_bytes)}

    def clean_size_bytes(self) -> int:
        size = int(self.cleaned_data["size_bytes"])
        try:
            names.check_disk_bytes(size)
        except names.Refused as refused:
            raise ValidationError(words(refused)) from refused
        if size <= self.now_bytes:
            raise ValidationError(_("A disk can only grow."))
        return size


class TypedForm(ui_forms.TypedForm):
    def __init__(self, *args: Any, vm: Vm, **kwargs: Any) -> None:
        super().__init__(*args, name=vm.name, **kwargs)
        self.vm = vm


class DeleteForm(TypedForm):
    """Which disks go with it, and the name typed. Who does not see the storage is not told where in it they are."""

    disks = forms.MultipleChoiceField(label=gettext_lazy("Remove these disks for good"), required=False, widget=CHECKS)
    field_order = ["disks", "typed"]

    def __init__(self, *args: Any, vm: Vm, disks: list[DiskOfVm], sees_storage: bool, **kwargs: Any) -> None:
        super().__init__(*args, vm=vm, **kwargs)
        self._paths = {disk.target: disk.path for disk in disks if disk.is_removable}
        choices = [(disk.target, disk_label(disk, sees_storage)) for disk in disks if disk.is_removable]
        self.fields["disks"].choices = choices  # type: ignore[attr-defined]
        if not choices:
            del self.fields["disks"]

    def paths(self) -> list[str]:
        """Of the disks that are to go."""
        return [self._paths[target] for target in self.cleaned_data.get("disks", [])]


class SnapshotForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    description = forms.CharField(
        label=gettext_lazy("What it is for"), required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 2})
    )


def disk_label(disk: DiskOfVm, sees_storage: bool) -> str:
    size = text.size(disk.size_bytes) if disk.size_bytes else ""
    return " · ".join(part for part in (disk.target, disk.path if sees_storage else "", size) if part)


class StartAnywayForm(forms.Form):
    """A person's word for each host that can't be asked."""

    hosts = forms.MultipleChoiceField(widget=CHECKS, label=gettext_lazy("I have made sure"))

    def __init__(self, *args: Any, vm: Vm, silent: list[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.silent = silent
        label = _("%(vm)s does not run on %(host)s")
        choices = [(str(host.pk), label % {"vm": vm, "host": host}) for host in silent]
        self.fields["hosts"].choices = choices  # type: ignore[attr-defined]

    def clean_hosts(self) -> list[int]:
        given = {int(pk) for pk in self.cleaned_data["hosts"]}
        missing = [str(host) for host in self.silent if host.pk not in given]
        if missing:
            raise ValidationError(_("Also say so for %(hosts)s.") % {"hosts": ", ".join(missing)})
        return sorted(given)


class BulkTagForm(forms.Form):
    add = TagsField(label=gettext_lazy("Add tags"), required=False, max_length=1000)
    remove = TagsField(label=gettext_lazy("Remove tags"), required=False, max_length=1000)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("add") and not cleaned.get("remove"):
            raise ValidationError(_("Give a tag to add or to remove."))
        return cleaned


class BulkGroupForm(forms.Form):
    group = forms.ModelChoiceField(
        label=gettext_lazy("Group"),
        queryset=Group.objects.all(),
        required=False,
        empty_label=gettext_lazy("no group"),
        help_text=gettext_lazy("Its managers may do with the VMs what an operator may."),
    )


class BulkDeleteForm(forms.Form):
    own_disks = forms.BooleanField(
        label=gettext_lazy("Also remove their disks for good (only those that nothing else uses)"), required=False
    )
    typed = forms.CharField(max_length=20, required=False)

    def __init__(self, *args: Any, number: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.number = number
        self.fields["typed"].label = _("Type the number of VMs: %(n)s") % {"n": number}
        self.fields["typed"].widget.attrs |= {
            "data-must-equal": str(number),
            "autocomplete": "off",
            "inputmode": "numeric",
        }

    def clean_typed(self) -> str:
        if self.cleaned_data["typed"].strip() != str(self.number):
            raise ValidationError(_("This is not the number of VMs."))
        return str(self.cleaned_data["typed"])
