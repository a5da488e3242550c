"""Forms as Tabler draws them: classes on widgets, a refused operation beside its field."""

from typing import Protocol

from django import forms
from django.forms.boundfield import BoundField
from django.http import HttpRequest, QueryDict

from ui.text import Text


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


def kind_of(bound: BoundField) -> str:
    """Which of the three layouts a field has: check, choices (radio or many checks) or line."""
    widget = bound.field.widget
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "choices"
    return "check" if isinstance(widget, forms.CheckboxInput) else "line"
