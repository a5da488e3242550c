"""Telling people something: the one door into this room."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from access.models import User
from notices import choices, delivery
from notices.kinds import Kind, by_name
from notices.models import Notice
from ui import live
from ui.text import Text, one_line

LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def tell(
    kind: str, people: Iterable[User], *, title: Text, lines: Sequence[Text] = (), url: str = "", key: str = ""
) -> None:
    """Tell these people, each in the ways they have chosen. title and lines are plain text, url a path inside Drover.

    The rows are written in the caller's transaction; mails leave after it. With a key a person is told once, however
    often this is called.
    """
    about = by_name(kind)
    if url and not LOCAL.fullmatch(url):
        raise ValueError(f"not a path inside Drover: {url!r}")
    known = {person.pk: person for person in people if person.is_active}
    told = {"title": one_line(title)[:200], "body": "\n".join(one_line(line) for line in lines), "url": url, "key": key}
    rows = list(_rows(about, known, told))
    if not rows:
        return
    with transaction.atomic():
        Notice.objects.bulk_create(rows, ignore_conflicts=bool(key))
        topics = [f"notices.{row.user_id}" for row in rows if row.in_app]
        if topics:
            transaction.on_commit(lambda: live.publish(*topics), robust=True)
        if any(row.mail_due_at for row in rows):
            delivery.soon()


def settled(people: Iterable[User], *keys: str) -> None:
    """What was told by these keys needs nobody any more: it counts as read, and mails that have not left stay here."""
    now = timezone.now()
    rows = Notice.objects.filter(user__in=[person.pk for person in people], key__in=keys)
    with transaction.atomic():
        new = rows.filter(read_at=None)
        topics = [f"notices.{pk}" for pk in new.order_by().values_list("user", flat=True)]
        new.update(read_at=now)
        rows.exclude(mail_due_at=None).update(mail_due_at=None)
        if topics:
            transaction.on_commit(lambda: live.publish(*topics), robust=True)


def _rows(kind: Kind, people: dict[int, User], told: dict[str, str]) -> Iterable[Notice]:
    now = timezone.now()
    for pk, (app, mail) in choices.of_all(kind, people).items():
        due: datetime | None = now if mail and people[pk].email and settings.EMAIL_HOST else None
        if app or due:
            yield Notice(user=people[pk], kind=kind.name, created_at=now, in_app=app, mail_due_at=due, **told)
