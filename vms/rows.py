"""Writing a few changed columns of many rows."""

from typing import Any

from django.db.models import Model

ONE_BY_ONE = 8


def write(model: type[Model], changes: dict[int, dict[str, Any]]) -> None:
    """Store {primary key: {column: value}}; only the named columns are written. Columns of keys are named "x_id"."""
    groups: dict[frozenset[str], list[int]] = {}
    for pk, values in changes.items():
        if values:
            groups.setdefault(frozenset(values), []).append(pk)
    manager = model._default_manager
    for columns, keys in groups.items():
        if len(keys) <= ONE_BY_ONE:
            for pk in keys:
                manager.filter(pk=pk).update(**changes[pk])
            continue
        rows = [model(pk=pk, **changes[pk]) for pk in keys]
        fields = [model._meta.get_field(column.removesuffix("_id")).name for column in columns]
        manager.bulk_update(rows, fields, batch_size=100)
