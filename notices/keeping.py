"""How long notices are kept."""

from datetime import timedelta

from django.utils import timezone

from notices.models import Notice

AT_ONCE = 1000


def forget_old(days: int) -> int:
    """Delete what is older, read or not; 0 keeps all. In pieces: nobody waits long for the database."""
    before = timezone.now() - timedelta(days=days)
    gone = 0
    while days > 0:
        keys = list(Notice.objects.filter(created_at__lt=before).order_by().values_list("pk", flat=True)[:AT_ONCE])
        if not keys:
            break
        gone += Notice.objects.filter(pk__in=keys).delete()[0]
    return gone
