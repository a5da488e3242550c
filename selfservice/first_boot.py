"""The first-boot template of an offer: our user-data, with places for what the asker fills in.

A place is `<name>`, alone as a value of the cloud-config: `timezone: <timezone>`. The value is put into the structure
in the place of it, never into a text, so that nothing written in a field can become something else.
"""

import re
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from django.utils.translation import gettext as _

from jobs.errors import Refused
from virt.user_data import (
    CLOUD_CONFIG,
    BadUserData,
    content_type,
    dump_config,
    normalise,
    parse_config,
    validate_user_data,
)

NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
PLACE = re.compile(r"<([a-z][a-z0-9_]{0,30})>")
TEXT, NUMBER, CHOICE, YES = "text", "number", "choice", "yes"
KINDS = (TEXT, NUMBER, CHOICE, YES)
MOST_FIELDS, MOST_TEXT, MOST_NUMBER = 20, 500, 10**9


@dataclass(frozen=True)
class Field:
    """One thing the asker fills in. choices: of a "choice"."""

    name: str
    kind: str = TEXT
    label: str = ""
    is_required: bool = False
    choices: list[str] = field(default_factory=list)

    @property
    def shown(self) -> str:
        return self.label or self.name.replace("_", " ").capitalize()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def all_of(cls, rows: list[dict[str, Any]]) -> list[Self]:
        return [cls(**row) for row in rows]


def read_fields(text: str) -> list[Field]:
    """One a line: "name: kind: label", where kind is text, number, yes, or "a | b | c"; with * it must be filled in.

    Raises Refused with the line that is not understood.
    """
    found: list[Field] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            one = _read_line(line, number)
            if one.name in {other.name for other in found}:
                raise Refused(_("Line %(n)s: %(name)s is there twice.") % {"n": number, "name": one.name})
            found.append(one)
    if len(found) > MOST_FIELDS:
        raise Refused(_("At most %(n)s fields.") % {"n": MOST_FIELDS})
    return found


def _read_line(line: str, number: int) -> Field:
    name, kind, label = (part.strip() for part in (line.split(":", 2) + ["", ""])[:3])
    is_required = name.endswith("*")
    name, kind = name.rstrip("*").strip(), kind or TEXT
    if not NAME.fullmatch(name):
        raise Refused(_("Line %(n)s: a field's name has small letters, digits and _ only.") % {"n": number})
    choices = [part.strip() for part in kind.split("|")] if "|" in kind else []
    if choices and not all(choices):
        raise Refused(_("Line %(n)s: one of the choices is empty.") % {"n": number})
    if not choices and kind not in {TEXT, NUMBER, YES}:
        words = _("Line %(n)s: the kind is text, number, yes, or choices such as small | large.")
        raise Refused(words % {"n": number})
    return Field(name, CHOICE if choices else kind, label[:100], is_required, choices[:50])


def written(fields: list[Field]) -> str:
    """The fields as `read_fields` reads them."""
    return "\n".join(_line(one) for one in fields)


def _line(one: Field) -> str:
    kind = " | ".join(one.choices) if one.kind == CHOICE else one.kind
    return f"{one.name}{'*' if one.is_required else ''}: {kind}" + (f": {one.label}" if one.label else "")


def check(template: str, fields: list[Field]) -> list[str]:
    """What is wrong with a template and its fields, in plain words."""
    if wrong := validate_user_data(template):
        return wrong
    names = {one.name for one in fields}
    found: set[str] = set()
    if template.strip() and content_type(normalise(template)) == CLOUD_CONFIG:
        found, wrong = _places(parse_config(template), names)
    unknown = [_("No field is called %(name)s.") % {"name": name} for name in sorted(found - names)]
    unused = [
        _("The field %(name)s is nowhere in the template: write <%(name)s> as a value of it.") % {"name": name}
        for name in sorted(names - found)
    ]
    return [*wrong, *unknown, *unused]


def _places(value: Any, names: set[str]) -> tuple[set[str], list[str]]:
    """The names of places in a structure, and what is wrong with them."""
    found: set[str] = set()
    wrong: list[str] = []
    for one in value if isinstance(value, list) else value.items() if isinstance(value, dict) else [value]:
        if isinstance(one, tuple):  # a setting and its value
            wrong += [_alone(name) for name in PLACE.findall(str(one[0])) if name in names]
            one = one[1]
        if isinstance(one, list | dict):
            more, bad = _places(one, names)
            found |= more
            wrong += bad
        elif isinstance(one, str) and (place := PLACE.fullmatch(one)):
            found.add(place[1])
        elif isinstance(one, str):
            wrong += [_alone(name) for name in PLACE.findall(one) if name in names]
    return found, wrong


def _alone(name: str) -> str:
    return _("<%(name)s> must stand alone as a value: it can't be a part of a longer text.") % {"name": name}


def clean(fields: list[Field], given: dict[str, Any]) -> dict[str, Any]:
    """The values as the fields want them. Raises Refused with "value-<name>" as its field."""
    if unknown := set(given) - {one.name for one in fields}:
        raise Refused(_("No field is called %(name)s.") % {"name": sorted(unknown)[0][:40]}, field="values")
    return {one.name: _value(one, given.get(one.name)) for one in fields}


def _value(one: Field, given: Any) -> Any:
    where = f"value-{one.name}"
    if one.kind == YES:
        return given in (True, "on", "true", "yes", "1")
    text = "" if given is None else str(given).strip()
    if not text:
        if one.is_required:
            raise Refused(_("This must be filled in."), field=where)
        return "" if one.kind != NUMBER else None
    if one.kind == NUMBER:
        if not re.fullmatch(r"-?[0-9]{1,10}", text) or abs(int(text)) > MOST_NUMBER:
            raise Refused(_("Write a whole number."), field=where)
        return int(text)
    if one.kind == CHOICE and text not in one.choices:
        raise Refused(_("Choose one of the list."), field=where)
    if len(text) > MOST_TEXT or not text.isprintable():
        raise Refused(_("Write one line of at most %(n)s characters.") % {"n": MOST_TEXT}, field=where)
    return text


def filled(template: str, values: dict[str, Any]) -> str:
    """The user-data with the values in their places. What was left empty is left out with its setting or entry."""
    if not values or content_type(normalise(template)) != CLOUD_CONFIG:
        return template
    try:
        return dump_config(_fill(parse_config(template), values))
    except BadUserData as bad:
        raise Refused(str(bad)) from bad


EMPTY = ("", None)


def _fill(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(one, values) for key, one in value.items() if not _is_left_out(one, values)}
    if isinstance(value, list):
        return [_fill(one, values) for one in value if not _is_left_out(one, values)]
    place = PLACE.fullmatch(value) if isinstance(value, str) else None
    return values[place[1]] if place and place[1] in values else value


def _is_left_out(value: Any, values: dict[str, Any]) -> bool:
    place = PLACE.fullmatch(value) if isinstance(value, str) else None
    return bool(place) and values.get(place[1], value) in EMPTY  # type: ignore[index]
