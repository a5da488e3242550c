"""What somebody has not read yet."""

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from access.models import User
from access.rules import Person, is_somebody
from notices.models import Notice
from ui import live

MOST = 99


def unread(user: Person) -> str:
    """How many, as the bell shows it: "" for none. One query that reads an index, as far as it is shown."""
    if not is_somebody(user):
        return ""
    count = len(Notice.objects.shown_to(user).unread().order_by().values_list("pk")[: MOST + 1])
    return f"{MOST}+" if count > MOST else str(count or "")


def mark(user: User, rows: QuerySet[Notice]) -> int:
    """Read, by the person whose they are. Returns how many were not before."""
    count = rows.filter(user=user, read_at=None).update(read_at=timezone.now())
    if count:
        transaction.on_commit(lambda: live.publish(topic(user)), robust=True)
    return count


def topic(user: User) -> str:
    """Of which a person's pages hear, and nobody else's."""
    return f"notices.{user.pk}"
