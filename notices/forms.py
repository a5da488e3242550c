"""How somebody wants to hear of what: two boxes for each kind."""

from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext_lazy as _

from access.models import User
from notices import choices
from notices.choices import Ways
from notices.kinds import Kind


class ChoicesForm(forms.Form):
    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kinds = choices.of_one(user)
        self.can_mail = not choices.why_no_mail(user)
        for kind, ways in self.kinds:
            for way, label, is_off in (("app", _("in Drover"), False), ("mail", _("by mail"), not self.can_mail)):
                box = forms.CheckboxInput(attrs={"class": "form-check-input", "aria-label": f"{kind.label}: {label}"})
                self.fields[f"{kind.name}-{way}"] = forms.BooleanField(
                    required=False, initial=getattr(ways, way), disabled=is_off, label=label, widget=box
                )

    def lines(self) -> list[tuple[Kind, BoundField, BoundField]]:
        return [(kind, self[f"{kind.name}-app"], self[f"{kind.name}-mail"]) for kind, _ways in self.kinds]

    def chosen(self) -> dict[str, Ways]:
        """A box that is off because no mail can be sent stays as it was: Django gives the initial value of it."""
        given = self.cleaned_data
        return {kind.name: Ways(given[f"{kind.name}-app"], given[f"{kind.name}-mail"]) for kind, _ways in self.kinds}
