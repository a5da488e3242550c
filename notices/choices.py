"""Who hears of what in which way."""

from collections.abc import Collection

from notices.kinds import APP, MAIL, Kind
from notices.models import Choice


def of_all(kind: Kind, people: Collection[int]) -> dict[int, tuple[bool, bool]]:
    """Of each of these people: whether they hear of it in Drover, and by mail. One query."""
    usual = (APP in kind.by_default, MAIL in kind.by_default)
    found = dict.fromkeys(people, usual)
    rows = Choice.objects.filter(kind=kind.name, user__in=people).values_list("user", "app", "mail")
    return found | {user: (app, mail) for user, app, mail in rows}
