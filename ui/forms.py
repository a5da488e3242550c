"""Forms as Tabler draws them: classes on widgets, a refused operation beside its field."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Protocol

from django import forms
from django.forms.boundfield import BoundField
from django.forms.utils import flatatt
from django.http import HttpRequest, QueryDict
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ui.text import Text

MANY = 12  # as many boxes to tick stand in a dialog without a field to find them
SELECTED, UNSELECTED = flatatt({"selected": True}), flatatt({})


class RefusedLike(Protocol):
    message: Text
    field: str


def add_refusal(form: forms.Form, refused: RefusedLike) -> None:
    """Show why an operation was refused beside the field it names, or above the form."""
    field = refused.field if refused.field in form.fields else None
    form.add_error(field, str(refused.message))


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: what was posted, even if that is nothing (no box ticked); None for a GET."""
    return request.POST if request.method == "POST" else None


def number_in(text: str) -> int | None:
    """The number of a row out of an address, or None: neither "²" nor a thousand digits reach int() or the database."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def numbers_in(texts: Iterable[str]) -> list[int]:
    """Those of them that are numbers of rows."""
    return [number for number in map(number_in, texts) if number is not None]


class LongSelect(forms.Select):
    """A select for hundreds of options: Django's own renders a template for each of them."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = {str(one) for one in self.format_value(value)}
        given = self.build_attrs(self.attrs, {**(attrs or {}), "name": name})
        return format_html("<select{}>{}</select>", flatatt(given), self._options(self.choices, chosen))

    def _options(self, choices: Iterable[tuple[Any, Any]], chosen: set[str]) -> SafeString:
        """Groups come out where they stand, single options together."""
        parts: list[SafeString] = []
        for is_group, some in groupby(choices, key=lambda choice: isinstance(choice[1], list | tuple)):
            if is_group:
                groups = ((label, self._options(inner, chosen)) for label, inner in some)
                parts.append(format_html_join("", '<optgroup label="{}">{}</optgroup>', groups))
            else:
                options = ((value, SELECTED if str(value) in chosen else UNSELECTED, label) for value, label in some)
                parts.append(format_html_join("", '<option value="{}"{}>{}</option>', options))
        return parts[0] if len(parts) == 1 else format_html_join("", "{}", ((part,) for part in parts))


class TypedForm(forms.Form):
    """Only the name of a thing typed, for what can't be undone."""

    typed = forms.CharField(label="", max_length=300, required=False)

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = name
        self.fields["typed"].label = _("Type its name: %(name)s") % {"name": name}
        self.fields["typed"].widget.attrs |= {"data-must-equal": name, "autocomplete": "off", "spellcheck": "false"}

    def clean_typed(self) -> str:
        if self.cleaned_data["typed"] != self.name:
            raise forms.ValidationError(_("This is not its name."))
        return str(self.cleaned_data["typed"])


def widget_class(bound: BoundField) -> str:
    widget = bound.field.widget
    if isinstance(widget, forms.CheckboxInput | forms.RadioSelect | forms.CheckboxSelectMultiple):
        css = "form-check-input"
    elif isinstance(widget, forms.Select):
        css = "form-select"
    else:
        css = "form-control"
    given = widget.attrs.get("class", "")
    invalid = " is-invalid" if bound.errors else ""
    return f"{css} {given}".strip() + invalid


def has_many(bound: BoundField) -> bool:
    """Whether there are more things to tick than one sees at a glance: the list then gets a field to find them."""
    widget = bound.field.widget
    return isinstance(widget, forms.CheckboxSelectMultiple) and len(bound.subwidgets) > MANY


def kind_of(bound: BoundField) -> str:
    """Which of the three layouts a field has: check, choices (radio or many checks) or line."""
    widget = bound.field.widget
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "choices"
    return "check" if isinstance(widget, forms.CheckboxInput) else "line"
