"""How much one person may pile up. 0 is no limit: so the settings say it."""

from django.db.models import Model, QuerySet
from django.utils.functional import Promise

from jobs.errors import Refused

Text = str | Promise


def check(rows: QuerySet[Model], most: int, words: Text) -> None:
    """Raise Refused if there are `most` rows already; words with %(n)s in them. One query."""
    if most > 0 and rows.order_by()[:most].count() >= most:
        raise Refused(str(words) % {"n": most})
