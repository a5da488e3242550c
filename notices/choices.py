"""Who hears of what in which way."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import User
from access.rules import can
from notices.kinds import APP, KINDS, MAIL, Kind
from notices.models import Choice, Notice


class Ways(NamedTuple):
    app: bool
    mail: bool


def usual(kind: Kind) -> Ways:
    return Ways(APP in kind.by_default, MAIL in kind.by_default)


def of_all(kind: Kind, people: Collection[int]) -> dict[int, Ways]:
    """How each of these people hears of it. One query."""
    found = dict.fromkeys(people, usual(kind))
    rows = Choice.objects.filter(kind=kind.name, user__in=people).values_list("user", "app", "mail")
    return found | {user: Ways(app, mail) for user, app, mail in rows}


def of_one(user: User) -> list[tuple[Kind, Ways]]:
    """The kinds that this person may get, and how they hear of each."""
    chosen = {row.kind: Ways(row.app, row.mail) for row in Choice.objects.filter(user=user)}
    kinds = [kind for kind in KINDS.values() if not kind.needs or can(user, kind.needs)]
    return [(kind, chosen.get(kind.name, usual(kind))) for kind in kinds]


def keep(user: User, wanted: Mapping[str, Ways]) -> None:
    """Only what differs from what is so already: a kind that somebody never touched goes on as its room says."""
    for kind, now in of_one(user):
        ways = wanted.get(kind.name, now)
        if ways != now:
            Choice.objects.update_or_create(user=user, kind=kind.name, defaults=ways._asdict())


def why_no_mail(user: User) -> str:
    """Why this person gets none, whatever they choose. "" if they do."""
    if not settings.EMAIL_HOST:
        return _("Drover can't send mails here: no mail server is set up.")
    if not user.email:
        return _("You have no e-mail address here. An administrator can enter it.")
    return ""


def last_trouble(user: User) -> str:
    """Why the last mail to this person did not get there. "" if it did."""
    last = Notice.objects.filter(user=user, mail_tries__gt=0, mail_due_at=None).order_by("-pk").first()
    return last.mail_error if last is not None and last.mailed_at is None else ""
