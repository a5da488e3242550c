"""The pages' own forms, filled from JSON: what a page refuses, the API refuses, beside the same field."""

from typing import Any

from django.forms import Form


class Invalid(Exception):
    """What a form says of its fields: {"address": ["..."]}."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(errors)
        self.errors = errors


def errors_of(form: Form, prefix: str = "") -> dict[str, list[str]]:
    return {
        "" if field == "__all__" else prefix + field: [str(one) for one in all_] for field, all_ in form.errors.items()
    }


def cleaned(form: Form) -> dict[str, Any]:
    """The form's values. Raises Invalid."""
    if not form.is_valid():
        raise Invalid(errors_of(form))
    return form.cleaned_data
