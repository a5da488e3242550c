"""Forms of leases: more time, pinning, giving back."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from selfservice.request_forms import MOST_REASON
from selfservice.terms import MOST_DAYS


def why_field(label: Any, hint: Any = "", *, required: bool = True) -> forms.CharField:
    area = forms.Textarea(attrs={"rows": 3})
    return forms.CharField(label=label, max_length=MOST_REASON, required=required, widget=area, help_text=hint)


def days_field(label: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        min_value=1,
        max_value=MOST_DAYS,
        widget=forms.NumberInput(attrs={"min": 1, "max": MOST_DAYS}),
        help_text=gettext_lazy("From its end on; from now on if it has ended."),
    )


class LongerForm(forms.Form):
    """A wish for more time than the offer gives."""

    days = days_field(gettext_lazy("Days more"))
    why = why_field(gettext_lazy("What for"), gettext_lazy("Who decides about it reads it."))


class GrantForm(forms.Form):
    days = days_field(gettext_lazy("Days more"))
    why = why_field(gettext_lazy("A word to who asked"), required=False)


class PinForm(forms.Form):
    why = why_field(gettext_lazy("What for"), gettext_lazy("Whose VMs these are reads it."), required=False)
