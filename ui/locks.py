"""Holding a row of the database, so that what is counted before something is added is counted by one at a time."""

from django.db.models import Model


def hold(row: Model) -> None:
    """Until the transaction ends, in which this must be called. Others may go on referring to the row (no_key)."""
    model = row._meta.concrete_model  # not type(): a request's user is a lazy one
    if model is not None:
        model._default_manager.select_for_update(no_key=True).filter(pk=row.pk).values_list("pk").first()
