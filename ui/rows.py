"""Rows of the database in hundreds, for one page."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.db.models.base import ModelState

M = TypeVar("M", bound=Model)


def light(rows: QuerySet[M], *columns: str, **related: tuple[str, ...]) -> list[M]:
    """As `list(rows.only(*columns))`, without what Django does for each column that is not read, and its signals.

    columns: concrete ones, as attributes ("owner_id"), or annotations. related: of the rows that a foreign key leads
    to, as with `select_related`. What is not among them is read when it is asked for.
    """
    model, names = rows.model, ("id", *columns, *(f"{name}_id" for name in related))
    wanted, others = list(names), []
    for name, theirs in related.items():
        others.append((name, model._meta.get_field(name).related_model, ("id", *theirs), len(wanted)))
        wanted += [f"{name}__{column}" for column in theirs]
    found = []
    for values in rows.values_list(*wanted):
        one = _object(model, dict(zip(names, values, strict=False)), rows.db)
        for name, kind, theirs_, begin in others:
            key = one.__dict__[f"{name}_id"]
            known = (key, *values[begin : begin + len(theirs_) - 1])
            other = None if key is None else _object(kind, dict(zip(theirs_, known, strict=True)), rows.db)
            one._state.fields_cache[name] = other
        found.append(one)
    return found


def _object(model: Any, values: dict[str, Any], db: str) -> Any:
    one = model.__new__(model)
    one.__dict__.update(values)
    one._state = ModelState()
    one._state.adding, one._state.db = False, db
    return one
