from django import forms
from django.utils.translation import gettext_lazy as _

from access.models import ApiToken

LIFETIMES = [("30", _("30 days")), ("365", _("one year")), ("0", _("until revoked"))]


class ThemeForm(forms.Form):
    theme = forms.ChoiceField(choices=[("auto", "auto"), ("light", "light"), ("dark", "dark")])


class TokenForm(forms.Form):
    name = forms.CharField(
        label=_("What is it for?"),
        max_length=ApiToken._meta.get_field("name").max_length,
        help_text=_("A backup script"),
    )
    days = forms.ChoiceField(label=_("Valid"), choices=LIFETIMES, initial="365")
