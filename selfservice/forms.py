"""Forms of quotas."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from vms.forms import SizeField

MOST = 1_000_000
NONE = {"placeholder": gettext_lazy("no limit")}


def count_field(label: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, required=False, min_value=0, max_value=MOST, widget=forms.NumberInput(attrs=NONE)
    )


def size_field(label: Any, help_text: Any) -> SizeField:
    return SizeField(label=label, required=False, help_text=help_text, widget=forms.TextInput(attrs=NONE))


class QuotaForm(forms.Form):
    """What is left empty has no limit."""

    vms = count_field(gettext_lazy("VMs"))
    running_vms = count_field(gettext_lazy("Running VMs"))
    vcpus = count_field(gettext_lazy("vCPUs of all VMs"))
    memory_bytes = size_field(gettext_lazy("Memory of all VMs"), gettext_lazy("For example 16 GiB."))
    disk_bytes = size_field(gettext_lazy("Disks of all VMs"), gettext_lazy("As large as they may grow."))
    snapshots = count_field(gettext_lazy("Snapshots of all VMs"))
